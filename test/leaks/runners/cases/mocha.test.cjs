const body = require('./body.cjs');

describe('a function', function () {
  this.timeout(120_000);
  it('clean', () => body.clean());
  it('leaks', () => body.leaks());
});
