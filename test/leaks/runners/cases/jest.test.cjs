const body = require('./body.cjs');

test('clean', () => body.clean(), 120_000);
test('leaks', () => body.leaks(), 120_000);
