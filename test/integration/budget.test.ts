// A limit on the overhead: exact for as long as that is within it, then sampled, then at wider intervals. What was in use before is
// in a dump of its own, and what comes after is right too.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { heapProfileEnv, readProfile } from 'forkheap';
import t, { type Test } from 'tap';
import type { ModeChange } from '../../src/capture/manifest.js';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { cli, readTop, rowOf } from '../helpers/forkheap.js';
import { callApi, script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { leaksOf, manifestOf, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

const INTERVAL = 16 << 10;
// Blocks far above the interval are all caught: what is in use is known in sampled mode too.
const LARGE = 1 << 20;

const prelude = `
  const { leaky, print } = require('./test/fixtures/programs/leaky.cjs');
  const { startHeapProfile } = require('forkheap');
  const start = (options) => startHeapProfile({ prefix: process.env.PREFIX, sampleInterval: ${INTERVAL}, ...options });
  // Allocates until the limit is passed and forkheap has seen it.
  const churn = (profile) => { while (profile.mode === 'exact') leaky.churn(10_000, 64); };
`;

/** Runs code that starts its own profile. */
async function run(t: Test, code: string): Promise<{ prefix: string; pid: number; stdout: string; stderr: string }> {
  const prefix = tempPrefix(t);
  const env = { ...heapProfileEnv({ prefix, autoStart: false }, {}), PREFIX: prefix };
  const result = await runProcess(t, script(prelude + code), { env });
  t.equal(result.code, 0, result.stderr);
  const [pid = 0] = manifestsOf(prefix).keys();
  return { prefix, pid, ...result };
}

function changesOf(prefix: string, pid: number): ModeChange[] {
  return manifestOf(prefix, pid).changes ?? [];
}

const exact = { mode: 'exact', sampleInterval: 0 };
const sampled = { mode: 'sampled', sampleInterval: INTERVAL };

t.test('a process within its limit stays exact', async (t) => {
  const { prefix, result } = await runProfiled(t, program('root-leak.mjs', 123, 4567), {
    flags: ['--max-overhead', '5%'],
  });
  await sameLeaks(t, prefix, leaksIn(result.stdout));
  for (const manifest of manifestsOf(prefix).values())
    t.match(manifest, { mode: 'exact', maxOverhead: 0.05, changes: [] });
  t.equal(result.stderr, '');
});

t.test('from exact to sampled', async (t) => {
  const { prefix, pid, stdout, stderr } = await run(
    t,
    `
    const profile = start({ maxOverhead: 0.05 });
    leaky.leak(20, ${LARGE});
    leaky.leak(1000, 100);
    churn(profile);
    leaky.leak(10, ${LARGE});
    const dumps = [profile.dump()];
    leaky.freeAll();
    leaky.leak(5, ${LARGE});
    dumps.push(profile.stop());
    console.log(JSON.stringify({ mode: profile.mode, interval: profile.sampleInterval, dumps }));
  `,
  );
  const { mode, interval, dumps } = JSON.parse(stdout);
  t.same({ mode, interval }, { mode: 'sampled', interval: INTERVAL });
  const manifest = manifestOf(prefix, pid);
  t.match(manifest, { mode: 'sampled', sampleInterval: INTERVAL, maxOverhead: 0.05 });
  const [change] = changesOf(prefix, pid);
  t.match(change, { from: exact, to: sampled, dump: manifest.dumps[0] });
  t.ok((change?.overhead ?? 0) > 0.05, `${change?.overhead} was too much`);
  t.ok((change?.time ?? '') > manifest.profileTime);
  t.match(stderr.trimEnd().split('\n'), [
    new RegExp(
      `^forkheap\\[${pid}\\]: profiling cost .* % of the program's own CPU time, 5 % are allowed: sampled mode .* ${change?.dump}$`,
    ),
  ]);

  // Exact before, to the byte.
  const before = join(dirname(prefix), change?.dump ?? '');
  t.match(readFileSync(before, 'utf8'), /^heap profile: .* @ heapprofile\n/);
  t.match(rowOf(await readTop(t, before), 'leaky::LeakBlocks')?.self, {
    inuseObjects: 1020,
    inuseSpace: 20 * LARGE + 1000 * 100,
  });
  // After it what was in use before and is still there is there, once; and what was freed is gone.
  for (const [dump, large] of [
    [dumps[0], 30],
    [dumps[1], 5],
  ] as const) {
    t.match(readFileSync(dump, 'utf8'), new RegExp(`^heap profile: .* @ heapprofile/${INTERVAL}\n`));
    const self = rowOf(await readTop(t, dump), 'leaky::LeakBlocks')?.self;
    // Beside them what stands for 1000 blocks of 100 bytes: 100,000, and 40,000 more or less.
    const small = (self?.inuseSpace ?? 0) - large * LARGE;
    t.ok(small >= 0 && small <= (large === 5 ? 0 : 20 * INTERVAL), `${small} bytes beside the ${large} large blocks`);
  }

  const report = await readTop(t, prefix);
  t.match(report.processes, [{ mode: 'sampled', sampleInterval: INTERVAL, changes: [change] }]);
  const sentence = new RegExp(`Process ${pid} went from exact to sampled 16.0 KiB at .*${change?.dump}`);
  const inOneLine = (text: string): string => text.replace(/\s+/g, ' ');
  t.match(inOneLine((await cli(t, ['top', prefix])).stdout), sentence);
  const list = await cli(t, ['ls', prefix]);
  t.match(list.stdout, /exact → sampled 16.0 KiB/);
  t.match(inOneLine(list.stdout), sentence);
});

t.test('other threads bring it about, and are sampled afterwards', async (t) => {
  const { prefix, pid } = await run(
    t,
    `
    const profile = start({ maxOverhead: 0.05 });
    leaky.leak(20, ${LARGE});
    leaky.startThreads(2);
    const wait = setInterval(() => {
      if (profile.mode === 'exact') return;
      clearInterval(wait);
      console.log(leaky.stopThreads());
      leaky.leak(10, ${LARGE});
      profile.stop();
    }, 1);
  `,
  );
  t.match(changesOf(prefix, pid), [{ from: exact, to: sampled }]);
  t.equal((await leaksOf(t, prefix)).get(pid)?.inuseSpace, 30 * LARGE);
});

t.test('a forked child has an account of its own', async (t) => {
  const code = `
    const { leaky, print } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(7, ${LARGE});
    const { pid, code } = leaky.forkAndChurn(4, ${LARGE}, 5_000_000);
    if (code !== 0) throw new Error('the child failed');
    print({ pid: process.pid, blocks: 7, bytes: ${7 * LARGE} }, { pid, blocks: 8, bytes: ${8 * LARGE} });
  `;
  const flags = ['--max-overhead', '5%', '--sample-interval', '16KiB'];
  const { prefix, result } = await runProfiled(t, script(code), { flags });
  const [root, child] = leaksIn(result.stdout);
  t.match(manifestOf(prefix, root?.pid ?? 0), { mode: 'exact', changes: [] });
  const { kind, mode, dumps, changes } = manifestOf(prefix, child?.pid ?? 0);
  t.match(
    { kind, mode, changes },
    { kind: 'fork', mode: 'sampled', changes: [{ from: exact, to: sampled, dump: dumps[0] }] },
  );
  await sameLeaks(t, prefix, leaksIn(result.stdout));
  const before = await leaksOf(t, `${prefix}_${child?.pid}.0001.heap`);
  t.equal(before.get(child?.pid ?? 0)?.inuseObjects, 4, 'what it had before the change, without what it inherited');
});

t.test('a child that is forked after the change is sampled, and has only its own', async (t) => {
  const { prefix, pid, stdout } = await run(
    t,
    `
    const profile = start({ maxOverhead: 0.05 });
    leaky.leak(7, ${LARGE});
    churn(profile);
    print({ pid: process.pid, blocks: 7, bytes: ${7 * LARGE} }, { pid: leaky.forkAndLeak(3, ${LARGE}, '_exit').pid, blocks: 3, bytes: ${3 * LARGE} });
    profile.stop();
  `,
  );
  await sameLeaks(t, prefix, leaksIn(stdout));
  t.equal(changesOf(prefix, pid).length, 1);
  const child = leaksIn(stdout)[1]?.pid ?? 0;
  t.match(manifestOf(prefix, child), { kind: 'fork', mode: 'sampled', sampleInterval: INTERVAL, changes: [] });
});

t.test('a profile that is started again begins exact', async (t) => {
  const { prefix, pid } = await run(
    t,
    `
    let profile = start({ maxOverhead: 0.05 });
    churn(profile);
    leaky.leak(7, ${LARGE});
    profile.stop();
    profile = start({ maxOverhead: 1 });
    if (profile.mode !== 'exact') throw new Error(profile.mode);
    leaky.leak(3, 100);
    profile.stop();
  `,
  );
  t.match(manifestOf(prefix, pid), { mode: 'exact', sampleInterval: 0, changes: [], maxOverhead: 1 });
  t.match((await leaksOf(t, prefix)).get(pid), { inuseObjects: 3, inuseSpace: 300 });
});

t.test('sampling that takes too much takes a wider interval', async (t) => {
  const { prefix, pid, stderr } = await run(
    t,
    `
    const profile = start({ maxOverhead: 0.01, mode: 'sampled', sampleInterval: 256 });
    leaky.leakAtStack(1, 1000, 5000);
    while (profile.sampleInterval === 256) leaky.churn(10_000, 5000);
    leaky.leakAtStack(2, 1000, 5000);
    profile.stop();
  `,
  );
  const changes = changesOf(prefix, pid);
  const { sampleInterval } = manifestOf(prefix, pid);
  t.match(changes[0], { from: { mode: 'sampled', sampleInterval: 256 }, to: { mode: 'sampled' }, dump: null });
  t.equal(changes.at(-1)?.to.sampleInterval, sampleInterval);
  t.ok(sampleInterval > 256 && sampleInterval <= 16 << 20);
  t.match(
    stderr,
    /sampling cost .* % of the program's own CPU time, 1 % are allowed: one sample per \d+ KiB from now on/,
  );
  const found = readProfile(prefix)
    .samples.filter(({ locations }) =>
      locations.slice(0, 16).every(({ mapping }) => mapping?.file.endsWith('leaky.node')),
    )
    .map(({ inuseObjects }) => inuseObjects);
  // The first thousand were all caught at 256 bytes, and are still read so.
  t.ok(found.includes(1000), `${found} of 1000 each`);
});

t.test('what is no limit is said', async (t) => {
  for (const value of ['5', '0%', '101%', 'x%']) {
    const { code, stderr } = await cli(t, ['run', '--max-overhead', value, '--', 'true']);
    t.equal(code, 2, value);
    t.match(stderr, /Give a share above 0 % and up to 100 %, for instance 5%/);
  }
  const codes = `console.log(JSON.stringify([0, -1, 1.5, NaN, '5%'].map((maxOverhead) => codeOf(() => api.startHeapProfile({ prefix, maxOverhead })))));`;
  t.same(await callApi(t, tempPrefix(t), codes), Array(5).fill('ERR_FORKHEAP_INVALID_ARGUMENT'));
  // By hand in the environment: said, and no reason to fail.
  const prefix = tempPrefix(t);
  const env = { ...heapProfileEnv({ prefix }, {}), FORKHEAP_MAX_OVERHEAD: '5%' };
  const { code, stderr } = await runProcess(t, script('1'), { env });
  t.equal(code, 0);
  t.match(stderr, /FORKHEAP_MAX_OVERHEAD=5% is not a number above 0 and up to 1, such as 0.05: there is no limit/);
});
