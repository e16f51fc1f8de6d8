// fork(2) and exec in every order, four levels below the root: one set of files per process, each exact.
import t from 'tap';
import { type LeakingProcess, program } from '../helpers/fixtures.js';
import { filesIn, firstFiles, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

t.setTimeout(300_000);

const LEVELS = 4;
const BLOCKS = 77;
const BYTES = 1234;

const words = Array.from({ length: 2 ** LEVELS }, (_, i) =>
  i.toString(2).padStart(LEVELS, '0').replaceAll('0', 'F').replaceAll('1', 'E'),
);

interface Member extends LeakingProcess {
  parentPid: number;
}

for (const word of words) {
  t.test(`root ${[...word].join(' ')}`, async (t) => {
    const run = await runProfiled(t, program('mixed-tree.cjs', BLOCKS, BYTES, word));
    t.equal(run.result.stderr, '');
    const processes = run.result.stdout
      .trimEnd()
      .split('\n')
      .map((line): Member => ({ ...(JSON.parse(line) as Member), blocks: BLOCKS, bytes: BLOCKS * BYTES }));
    const kinds = ['root', ...[...word].map((letter) => (letter === 'F' ? 'fork' : 'child'))];
    t.same(
      processes.map(({ kind }) => kind),
      kinds,
    );
    const pids = processes.map(({ pid }) => pid);
    t.same(
      processes.map(({ parentPid }) => parentPid),
      [run.pid, ...pids.slice(0, -1)],
      'the program is the tree that is meant',
    );

    const manifests = manifestsOf(run.prefix);
    for (const { pid, parentPid, kind } of processes) {
      t.match(manifests.get(pid), { pid, parentPid, kind, exit: { code: 0, signal: null } });
    }
    t.same(filesIn(run.folder), firstFiles(run.prefix, pids));
    await sameLeaks(t, run.prefix, processes);
  });
}
