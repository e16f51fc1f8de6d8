// All processes of a tree are asked for a dump at once, also those that run no JavaScript.
import t, { type Test } from 'tap';
import { leaksIn, program } from '../helpers/fixtures.js';
import { cli } from '../helpers/forkheap.js';
import { sameLeaks, startProfiled } from '../helpers/profiles.js';

t.setTimeout(300_000);

const byNumber = (a: number, b: number): number => a - b;

/** A tree of five that has leaked and lives; nothing of it makes a dump by itself before it ends. */
async function startTree(t: Test) {
  const flags = ['--dump-every', '0', '--dump-inuse', '0'];
  const running = startProfiled(t, program('collect.cjs', 11, 1000), { flags });
  const processes = leaksIn((await running.line(/^ready (.*)$/))[1] ?? '');
  t.equal(processes.length, 5);
  const pids = processes.map(({ pid }) => pid).sort(byNumber);
  return { ...running, processes, pids, root: processes[0]?.pid ?? 0 };
}

t.test('collectHeapProfiles()', async (t) => {
  const tree = await startTree(t);
  process.kill(tree.root, 'SIGUSR2');
  const said = JSON.parse((await tree.line(/^collected (.*)$/))[1] ?? '') as Record<string, number[]>;
  t.same(said.answered?.sort(byNumber), tree.pids, 'all have answered');
  t.same([said.failed, said.silent], [[], []]);
  t.same(said.pids?.sort(byNumber), tree.pids, 'the merged profile tells them apart');
  await sameLeaks(t, tree.prefix, tree.processes);
  process.kill(tree.root, 'SIGHUP');
  t.match(await tree.result, { code: 0, stderr: '' });
});

for (const where of ['prefix', 'folder'] as const) {
  t.test(`forkheap dump, given the ${where}`, async (t) => {
    const tree = await startTree(t);
    const { code, stdout, stderr } = await cli(t, ['dump', '--json', '--timeout', '60s', tree[where]]);
    t.equal(code, 0, stderr);
    const said = JSON.parse(stdout) as Record<string, number[]>;
    t.same(said.answered?.sort(byNumber), tree.pids);
    t.same([said.failed, said.silent], [[], []]);
    await sameLeaks(t, tree.prefix, tree.processes);
    process.kill(tree.root, 'SIGHUP');
    t.match(await tree.result, { code: 0, stderr: '' });
    t.match(await cli(t, ['dump', tree[where]]), { code: 0, stdout: 'no process is running\n' });
  });
}

t.test('forkheap dump of a tree that never was', async (t) => {
  const { code, stdout, stderr } = await cli(t, ['dump', `${t.testdir({})}/profile`]);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(stderr, /ERR_FORKHEAP_NO_FILES/);
});
