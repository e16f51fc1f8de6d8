// threads.cjs THREADS LEVELS ROUNDS: the tree of tree.cjs, in several threads at a time.
const { addon, result } = require('./addon.cjs');

result(addon().threads(...process.argv.slice(2).map(Number)));
