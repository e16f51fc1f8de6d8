const t = require('tap');
const body = require('./body.cjs');

t.test('clean', () => body.clean());
t.test('leaks', () => body.leaks());
