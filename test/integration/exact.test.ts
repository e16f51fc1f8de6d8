// What a process leaks is found to the byte, in every kind of process.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type LeakingProcess, leaksIn, program } from '../helpers/fixtures.js';
import { filesIn, firstFiles, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

const BLOCKS = 123;
const BYTES = 4567;

/** The index of each process's parent in the list that the program prints; the root has none. */
const parents: Record<string, number[]> = {
  'root-leak.mjs': [],
  'fork-child.mjs': [0],
  'cluster-worker.mjs': [0, 0],
  'worker-thread.mjs': [],
  'grandchild.mjs': [0, 1],
  'native-fork.cjs': [0],
  'native-fork-tree.cjs': [0, 1, 2],
};

for (const [name, above] of Object.entries(parents)) {
  t.test(name, async (t) => {
    const run = await runProfiled(t, program(name, BLOCKS, BYTES));
    const processes = leaksIn(run.result.stdout);
    t.equal(processes.length, above.length + 1);
    t.equal(run.result.stderr, '', 'nothing is said on stderr');
    await sameLeaks(t, run.prefix, processes);

    const pids = processes.map(({ pid }) => pid);
    t.same(filesIn(run.folder), firstFiles(run.prefix, pids), 'a dump 0001 and a manifest for each, and nothing else');
    for (const file of readdirSync(run.folder)) {
      t.equal(statSync(join(run.folder, file)).mode & 0o777, 0o600, `${file} is for its owner only`);
    }

    const manifests = manifestsOf(run.prefix);
    for (const [i, { pid, kind }] of processes.entries()) {
      const parent = i === 0 ? run.pid : (processes[above[i - 1] as number] as LeakingProcess).pid;
      t.match(
        manifests.get(pid),
        {
          pid,
          kind,
          parentPid: parent,
          exit: { code: 0, signal: null },
          dumps: [`profile_${pid}.0001.heap`],
          mode: 'exact',
          sampleInterval: 0,
          nodeVersion: process.versions.node,
        },
        `manifest of process ${i}`,
      );
    }
  });
}

t.test('a forked child tells the moment of its fork', async (t) => {
  const { prefix, result } = await runProfiled(t, program('native-fork.cjs', BLOCKS, BYTES));
  const [root, child] = leaksIn(result.stdout).map(({ pid }) => manifestsOf(prefix).get(pid));
  t.ok(root && child);
  if (root === undefined || child === undefined) return;
  t.ok(child.profileTime >= root.profileTime, 'not before its parent started');
  t.same(child.startTime, child.profileTime);
  t.same(child.argv, root.argv);
});

t.test('a block that is freed is not in use, but was allocated', async (t) => {
  const code = `
    const { leaky, leakHere, print } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(10, 100); leaky.freeAll(); leaky.leak(3, 100);
    print({ pid: process.pid, kind: 'root', blocks: 3, bytes: 300 });
  `;
  const { prefix, result } = await runProfiled(t, [process.execPath, '-e', code]);
  await sameLeaks(t, prefix, leaksIn(result.stdout));
});
