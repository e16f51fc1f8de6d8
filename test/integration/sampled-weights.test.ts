// Sampled mode is unbiased: each sample stands for what its size and its own interval say, whatever the sizes, the stacks, and
// however often the interval changes.
import { heapProfileEnv, type Profile, readProfile, type Sample, type Values } from 'forkheap';
import t, { type Test } from 'tap';
import { addValues, zeroValues } from '../../src/profile/model.js';
import { program, tempPrefix } from '../helpers/fixtures.js';
import { runProcess } from '../helpers/process.js';
import { runProfiled } from '../helpers/profiles.js';

const INTERVAL = 16 << 10;
// Outermost frames differ by what a mode keeps; the addon's own are all there.
const FRAMES = 16;

/**
 * The stacks of leaky's leakAtStack() and distinctStacks(), by the addresses of their innermost frames. Their JavaScript may
 * be in several tiers, whose frames are not the same.
 */
function stacksIn(profile: Profile): Map<string, Values> {
  const stacks = new Map<string, Values>();
  for (const sample of profile.samples) {
    const key = keyOf(sample);
    if (key === null) continue;
    const sum = stacks.get(key) ?? zeroValues();
    addValues(sum, sample);
    stacks.set(key, sum);
  }
  return stacks;
}

function keyOf({ locations }: Sample): string | null {
  const inner = locations.slice(0, FRAMES);
  const ours = inner.filter(({ mapping }) => mapping?.file.endsWith('leaky.node'));
  return ours.length < FRAMES ? null : inner.map(({ offset }) => offset).join(' ');
}

/** What tcmalloc's sampler counts for a block: small ones in steps of 16 bytes, the others nearly their size. */
const charged = (size: number): number => (size <= 256 ? Math.ceil(size / 16) * 16 : size);

/** Mean and variance of the estimate's distance from the truth, in standard deviations: 0 and 1 when weights are right. */
function score(pairs: { truth: number; estimate: number; size: number }[]): { mean: number; variance: number } {
  const scores = pairs.map(({ truth, estimate, size }) => {
    const chance = -Math.expm1(-charged(size) / INTERVAL);
    return (estimate - truth) / Math.sqrt((truth * (1 - chance)) / chance);
  });
  const mean = scores.reduce((sum, z) => sum + z, 0) / scores.length;
  return { mean, variance: scores.reduce((sum, z) => sum + z * z, 0) / scores.length };
}

t.test('exact against sampled, 16 bytes to 4 MiB, stack by stack', async (t) => {
  const command = program('many-sizes.cjs');
  const prefix = tempPrefix(t);
  const exact = await runProfiled(t, command, { prefix: `${prefix}-exact` });
  const sampled = await runProfiled(t, command, {
    flags: ['--mode', 'sampled', '--sample-interval', '16KiB'],
    prefix: `${prefix}-sampled`,
  });
  const truths = stacksIn(readProfile(exact.prefix));
  const estimates = stacksIn(readProfile(sampled.prefix));
  const sizes = JSON.parse(exact.result.stdout) as number[];
  t.equal(truths.size, sizes.length * 30);
  t.equal([...estimates.keys()].filter((key) => !truths.has(key)).length, 0, 'no stack that is not there');
  const pairs = [...truths].map(([key, { inuseObjects, inuseSpace }]) => ({
    truth: inuseObjects,
    size: inuseSpace / inuseObjects,
    estimate: estimates.get(key)?.inuseObjects ?? 0,
    bytes: estimates.get(key)?.inuseSpace ?? 0,
  }));
  for (const size of sizes) {
    const some = pairs.filter((pair) => pair.size === size);
    const sum = (value: (pair: (typeof some)[0]) => number): number => some.reduce((all, pair) => all + value(pair), 0);
    const truth = sum((pair) => pair.truth);
    const chance = -Math.expm1(-charged(size) / INTERVAL);
    // Five standard deviations: once in a million runs by chance. Half an object a stack may be rounding.
    const within = 5 * Math.sqrt((truth * (1 - chance)) / chance) + some.length / 2;
    const estimate = sum((pair) => pair.estimate);
    const off = `${((100 * (estimate - truth)) / truth).toFixed(1)} %, within ${((100 * within) / truth).toFixed(1)} %`;
    t.ok(Math.abs(estimate - truth) <= within, `${size} bytes: ${estimate} of ${truth} objects (${off})`);
    t.ok(Math.abs(sum((pair) => pair.bytes) - truth * size) <= within * size, `${size} bytes: bytes too`);
  }
  // Blocks far above the interval are all caught; where half of them are, rounding does not matter yet.
  const uncertain = pairs.filter(({ size }) => size <= INTERVAL / 2);
  const { mean, variance } = score(uncertain);
  const n = uncertain.length;
  t.ok(Math.abs(mean) < 5 / Math.sqrt(n), `mean distance ${mean.toFixed(3)} standard deviations over ${n} stacks`);
  t.ok(Math.abs(variance - 1) < 5 * Math.sqrt(3 / n), `their variance is ${variance.toFixed(2)}: no more and no less`);
});

/** Runs code with a sampled profile that it starts and stops itself; the profile. */
async function profileOf(t: Test, code: string): Promise<Profile> {
  const prefix = tempPrefix(t);
  const env = { ...heapProfileEnv({ prefix, autoStart: false }, {}), PREFIX: prefix };
  const setup = `
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    const { startHeapProfile } = require('forkheap');
    const start = (sampleInterval) => startHeapProfile({ prefix: process.env.PREFIX, mode: 'sampled', sampleInterval });
  `;
  const { code: status, stderr } = await runProcess(t, [process.execPath, '-e', setup + code], { env });
  t.equal(status, 0, stderr);
  return readProfile(prefix);
}

t.test('each sample is read with the interval at which it was drawn', async (t) => {
  const size = 1 << 14;
  const blocks = 1 << 12;
  const intervals = [1 << 18, 1 << 14, 1 << 20, 1 << 16];
  const profile = await profileOf(
    t,
    `
    const profile = start(${intervals[0]});
    ${intervals.map((interval, i) => `profile.setSampleInterval(${interval}); leaky.leakAtStack(${i}, ${blocks}, ${size});`).join('\n')}
    profile.stop();
  `,
  );
  const found = [...stacksIn(profile).values()];
  t.equal(found.length, intervals.length);
  // In the order of the stacks' numbers the addresses mean nothing: each of the four must be there, so try the worst error.
  const worst = 5 * Math.sqrt((1 << 20) / size / blocks);
  for (const { inuseObjects } of found) {
    t.ok(
      Math.abs(inuseObjects / blocks - 1) < worst,
      `${inuseObjects} of ${blocks}, within ${(100 * worst).toFixed(0)} %`,
    );
  }
  t.equal(profile.processes[0]?.sampleInterval, 1 << 16);
});

const worker = (before: string): string => `
  const { Worker, isMainThread, parentPort } = require('node:worker_threads');
  const { once } = require('node:events');
  const code = "const leaky = require(process.cwd() + '/test/fixtures/addons/leaky/build/Release/leaky.node');" +
    "const { parentPort } = require('node:worker_threads');" +
    "parentPort.on('message', (ask) => { ask === 'end' ? parentPort.close() : leaky[ask[0]](...ask[1]); parentPort.postMessage(0); });";
  async function main() {
    const worker = new Worker(code, { eval: true });
    const ask = async (...what) => { worker.postMessage(what); await once(worker, 'message'); };
    await ask('leak', [1, 1000]);
    ${before}
    // 16 MiB, and 8,192 blocks whose stacks show what each sample stands for.
    await ask('leak', [${16 << 10}, 1024]);
    await ask('distinctStacks', [8192, 1024]);
    profile.stop();
    worker.postMessage('end');
  }
  main();
`;

for (const [name, before] of [
  [
    'a thread takes a smaller interval up within 16 MiB',
    'const profile = start(1 << 19); profile.setSampleInterval(1 << 16);',
  ],
  ['a thread that was there before sampling began is sampled within 16 MiB', 'const profile = start(1 << 16);'],
] as const) {
  t.test(name, async (t) => {
    const found = [...stacksIn(await profileOf(t, worker(before))).values()];
    // One in 64 is caught, and stands for 64.5.
    t.ok(found.length > 128 - 5 * 12 && found.length < 128 + 5 * 12, `${found.length} samples of 8,192 blocks`);
    t.same([...new Set(found.map(({ inuseObjects }) => inuseObjects))].sort(), [64, 65], 'each stands for 64.5 blocks');
  });
}
