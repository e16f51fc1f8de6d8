// fork(2) while other threads are inside malloc all the time: no child hangs, and each profile is exact.
import { heapProfileEnv } from 'forkheap';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, firstFiles, leaksOf, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

t.setTimeout(600_000);

const CHILDREN = 60;
const THREADS = 4;

for (const [what, name] of [
  ['native threads', 'native-fork-busy.cjs'],
  ["worker threads and libuv's thread pool", 'native-fork-service.cjs'],
] as const) {
  t.test(`exact, ${what}`, async (t) => {
    const run = await runProfiled(t, program(name, 50, 2000, CHILDREN, THREADS));
    const processes = leaksIn(run.result.stdout);
    t.equal(processes.length, CHILDREN + 1);
    await sameLeaks(t, run.prefix, processes);
    const pids = processes.map(({ pid }) => pid);
    t.same(filesIn(run.folder), firstFiles(run.prefix, pids));
    const manifests = [...manifestsOf(run.prefix).values()].filter(({ pid }) => pid !== pids[0]);
    t.equal(manifests.length, CHILDREN);
    for (const manifest of manifests) {
      t.match(manifest, { kind: 'fork', parentPid: pids[0], exit: { code: 0, signal: null } });
    }
  });
}

t.test("gperftools' leak checker, native threads", async (t) => {
  const env = heapProfileEnv({ prefix: tempPrefix(t), leakCheck: 'local' }, {});
  const run = await runProcess(t, program('native-fork-busy.cjs', 50, 2000, CHILDREN, THREADS), { env });
  t.match(run, { code: 0, stderr: '' });
  t.equal(leaksIn(run.stdout).length, CHILDREN + 1);
});

t.test('sampled, native threads', async (t) => {
  const flags = ['--mode', 'sampled', '--sample-interval', '4KiB'];
  const run = await runProfiled(t, program('native-fork-busy.cjs', 10, 1_000_000, CHILDREN, THREADS), { flags });
  const processes = leaksIn(run.result.stdout);
  const pids = processes.map(({ pid }) => pid);
  t.same(filesIn(run.folder), firstFiles(run.prefix, pids));
  // A block of 250 intervals is missed once in e^250 times: exact, and the parent's 10 MB are in no child.
  const leaks = await leaksOf(t, run.prefix);
  for (const pid of pids) t.match(leaks.get(pid), { inuseObjects: 10, inuseSpace: 10_000_000 });
});
