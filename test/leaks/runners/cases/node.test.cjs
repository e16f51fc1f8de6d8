const { test } = require('node:test');
const body = require('./body.cjs');

test('clean', () => body.clean());
test('leaks', () => body.leaks());
