// Grows by nothing: a program that a leak check must pass.
setImmediate(() => {});
