// Sampled mode: what is found is an estimate, and the estimate is good.
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t, { type Test } from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { readTop, rowOf } from '../helpers/forkheap.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, leaksOf, manifestOf, manifestsOf, runProfiled } from '../helpers/profiles.js';

const INTERVAL = 64 << 10;
const LEAKED = 100 << 20;
const flags = ['--mode', 'sampled', '--sample-interval', '64KiB'];

/**
 * Standard deviation of the estimate for LEAKED bytes in blocks of one size, as a share of it: each block is caught by itself, with
 * a chance of 1 - e^(-size / interval).
 */
function deviation(size: number): number {
  const chance = -Math.expm1(-size / INTERVAL);
  return Math.sqrt((1 - chance) / chance / (LEAKED / size));
}

function isNear(t: Test, actual: number | undefined, wanted: number, share: number, what: string): void {
  const off = Math.abs((actual ?? 0) - wanted) / wanted;
  t.ok(off <= share, `${what}: ${actual} is within ${100 * share} % of ${wanted}`);
}

// One process misses 5 % by chance once in 24 times with the smallest blocks. The mean of six does so once in a million times, and
// a process by itself misses five standard deviations no more often.
const PROCESSES = 6;
for (const size of [4 << 10, 32 << 10, 256 << 10]) {
  t.test(`${LEAKED >> 20} MiB in blocks of ${size >> 10} KiB`, async (t) => {
    const one = program('root-leak.mjs', LEAKED / size, size).join(' ');
    const command = ['sh', '-c', `for i in ${[...Array(PROCESSES).keys()].join(' ')}; do ${one}; done`];
    const { prefix } = await runProfiled(t, command, { flags });
    const report = await readTop(t, prefix);
    t.same(
      report.processes.map(({ mode, kind }) => ({ mode, kind })),
      Array(PROCESSES).fill({ mode: 'sampled', kind: 'root' }),
    );
    const self = rowOf(report, 'leaky::LeakBlocks')?.self;
    isNear(t, self?.inuseSpace, PROCESSES * LEAKED, 0.05, 'bytes of all');
    isNear(t, self?.inuseObjects, (PROCESSES * LEAKED) / size, 0.05, 'objects of all');
    for (const [pid, { inuseSpace }] of await leaksOf(t, prefix)) {
      isNear(t, inuseSpace, LEAKED, 5 * deviation(size), `process ${pid}`);
    }
    for (const manifest of manifestsOf(prefix).values()) {
      t.match(manifest, { mode: 'sampled', sampleInterval: INTERVAL, exit: { code: 0 } });
    }
  });
}

t.test('a forked child reports what it allocated, not what it inherited', async (t) => {
  // Blocks of 1 MiB are all caught: nothing is left to chance.
  const code = `
    const { leaky, leaked, print } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(100, ${1 << 20});
    const { pid } = leaky.forkAndLeak(20, ${1 << 20}, '_exit');
    print({ pid: process.pid, blocks: 100, bytes: ${100 << 20} }, { pid, blocks: 20, bytes: ${20 << 20} });
  `;
  const { prefix, result } = await runProfiled(t, [process.execPath, '-e', code], { flags });
  const leaks = await leaksOf(t, prefix);
  for (const { pid, blocks, bytes } of leaksIn(result.stdout)) {
    t.equal(leaks.get(pid)?.inuseObjects, blocks, `process ${pid}`);
    isNear(t, leaks.get(pid)?.inuseSpace, bytes, 1e-6, `process ${pid}`);
  }
  t.same([...manifestsOf(prefix).values()].map(({ kind }) => kind).sort(), ['fork', 'root']);
  const child = leaksIn(result.stdout)[1]?.pid ?? 0;
  const { total } = await readTop(t, '--pid', String(child), prefix);
  isNear(t, total.inuseSpace, 20 << 20, 0.05, 'everything in the child');
});

t.test('children are sampled too', async (t) => {
  const { prefix, result } = await runProfiled(t, program('grandchild.mjs', 50, 1 << 20), { flags });
  const leaks = await leaksOf(t, prefix);
  for (const { pid, bytes } of leaksIn(result.stdout)) {
    isNear(t, leaks.get(pid)?.inuseSpace, bytes, 1e-6, `process ${pid}`);
  }
});

t.test('setSampleInterval changes the interval of a running profile', async (t) => {
  const size = 256 << 10;
  const code = `
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    const { startHeapProfile } = require('forkheap');
    const profile = startHeapProfile({ prefix: process.env.PREFIX, mode: 'sampled', sampleInterval: ${4 << 20} });
    profile.setSampleInterval(${INTERVAL});
    // The next sample is still one of the old interval.
    leaky.leak(1024, ${1 << 20});
    leaky.freeAll();
    leaky.leak(${LEAKED / size}, ${size});
    console.log(process.pid, profile.stop());
  `;
  const prefix = tempPrefix(t);
  const env = { ...heapProfileEnv({ prefix, autoStart: false }, {}), PREFIX: prefix };
  const { code: status, stdout, stderr } = await runProcess(t, [process.execPath, '-e', code], { env });
  t.equal(status, 0, stderr);
  const [pid = '', dump = ''] = stdout.trim().split(' ');
  t.same(filesIn(dirname(prefix)), [`profile_${pid}.0001.heap`, `profile_${pid}.json`]);
  t.match(readFileSync(dump, 'utf8'), new RegExp(`^heap profile: .* @ heapprofile/${INTERVAL}\n`));
  t.match(manifestOf(prefix, Number(pid)), { mode: 'sampled', sampleInterval: INTERVAL });
  const bytes = (await leaksOf(t, prefix)).get(Number(pid))?.inuseSpace;
  isNear(t, bytes, LEAKED, 0.05, 'bytes');
});
