// The two tests of each runner's test file: a function that is clean, and one that leaks.
const assert = require('node:assert');
const { assertNoNativeLeaks } = require('forkheap');
const leaky = require(process.env.LEAKY_ADDON);

const options = { iterations: 10 };

exports.clean = async () => {
  const verdict = await assertNoNativeLeaks(() => leaky.wrap(3, 100), options);
  assert.equal(verdict.rerun, process.env.EXPECT_RERUN === '1');
};

exports.leaks = async () => {
  const error = await assertNoNativeLeaks(() => leaky.leak(2, 500), options).catch((reason) => reason);
  assert.equal(error.code, 'ERR_FORKHEAP_LEAKS', error.message);
  const { verdict } = error;
  assert.equal(verdict.rerun, process.env.EXPECT_RERUN === '1');
  assert.ok(Math.abs(verdict.bytesPerIteration - 1000) < 1, `${verdict.bytesPerIteration}`);
  assert.equal(verdict.findings[0].stack[0].name, 'leaky::LeakBlocks');
};
