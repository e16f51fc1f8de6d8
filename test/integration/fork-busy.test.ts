// fork(2) while other threads are inside malloc all the time: no child hangs, and each profile is exact.
import t from 'tap';
import { leaksIn, program } from '../helpers/fixtures.js';
import { filesIn, firstFiles, leaksOf, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

t.setTimeout(600_000);

const CHILDREN = 60;
const THREADS = 4;

for (const [what, name, env] of [
  ['native threads', 'native-fork-busy.cjs', {}],
  ['native threads, and the heap checker', 'native-fork-busy.cjs', { HEAPCHECK: 'local' }],
  ["worker threads and libuv's thread pool", 'native-fork-service.cjs', {}],
] as const) {
  t.test(`exact, ${what}`, async (t) => {
    const run = await runProfiled(t, program(name, 50, 2000, CHILDREN, THREADS), { env });
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
