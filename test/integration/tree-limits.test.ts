// Forked children that live for a moment do not fill the disk.
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { leaksOf, manifestsOf, runProfiled } from '../helpers/profiles.js';

t.setTimeout(300_000);

const CHILDREN = 30;

/** Forks children one after the other, and says after each how many dumps and bytes there are. */
const forkingCode = (children: number, dump: string): string => `
    const { readdirSync, statSync } = require('node:fs');
    const folder = process.env.FOLDER;
    leaky.leak(7, 1000);
    ${dump};
    const pids = [];
    const seen = [];
    for (let i = 0; i < ${children}; i++) {
      pids.push(leaky.forkAndLeak(3, 1000, '_exit').pid);
      const files = readdirSync(folder).filter((name) => name.endsWith('.heap'));
      const bytes = files.reduce((sum, name) => sum + statSync(folder + '/' + name).size, 0);
      seen.push({ dumps: files.length, bytes });
    }
    console.log(JSON.stringify({ pid: process.pid, pids, seen }));
  `;
const forking = (children: number): string[] =>
  script(`
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    ${forkingCode(children, "require('forkheap').heapProfilerDump('before the children')")}
  `);

interface Forked {
  pid: number;
  pids: number[];
  seen: { dumps: number; bytes: number }[];
}

async function runForking(t: Test, prefix: string, children: number, flags: string[]): Promise<Forked> {
  const options = { prefix, flags: ['--dump-every', '0', ...flags], env: { FOLDER: dirname(prefix) } };
  return JSON.parse((await runProfiled(t, forking(children), options)).result.stdout) as Forked;
}

/** The root and the latest children are left, each with all of its leak. */
async function latestAreLeft(t: Test, prefix: string, { pid, pids }: Forked): Promise<void> {
  const leaks = await leaksOf(t, prefix);
  t.match(leaks.get(pid), { inuseObjects: 7, inuseSpace: 7000 }, 'the root');
  leaks.delete(pid);
  t.ok(leaks.size > 0, 'and children');
  const byNumber = (a: number, b: number): number => a - b;
  t.same([...leaks.keys()].sort(byNumber), pids.slice(-leaks.size).sort(byNumber), 'the latest of them');
  for (const leak of leaks.values()) t.match(leak, { inuseObjects: 3, inuseSpace: 3000 });
}

t.test('--max-tree-dumps', async (t) => {
  const prefix = tempPrefix(t);
  const forked = await runForking(t, prefix, CHILDREN, ['--max-tree-dumps', '8']);
  t.same(
    forked.seen.map(({ dumps }) => dumps),
    forked.seen.map((_, i) => Math.min(i + 2, 8)),
    'one more with each child, until there are eight',
  );
  t.equal(readdirSync(dirname(prefix)).filter((name) => name.endsWith('.heap')).length, 8);
  t.equal(manifestsOf(prefix).size, CHILDREN + 1, 'every process has its manifest');
  await latestAreLeft(t, prefix, forked);
});

t.test('--max-tree-bytes, and no room: the root and the latest child stay', async (t) => {
  const prefix = tempPrefix(t);
  const forked = await runForking(t, prefix, 5, ['--max-tree-bytes', '1']);
  t.same(
    forked.seen.map(({ dumps }) => dumps),
    [2, 2, 2, 2, 2],
  );
  await latestAreLeft(t, prefix, forked);
});

t.test('maxTreeBytes', async (t) => {
  const prefix = tempPrefix(t);
  // Started late, the root's profile is as small as its children's, and about the same in each run.
  const run = (at: string, children: number, options: string): Promise<Forked> =>
    callApi<Forked>(
      t,
      at,
      `
      process.env.FOLDER = ${JSON.stringify(dirname(at))};
      const profile = api.startHeapProfile({ prefix, ${options} });
      ${forkingCode(children, 'profile.dump()')}
    `,
    );
  const { seen } = await run(prefix, 2, '');
  const [one, two] = seen.map(({ bytes }) => bytes) as [number, number];
  for (const file of readdirSync(dirname(prefix))) rmSync(join(dirname(prefix), file));

  // Room for the root and about seven children.
  const most = one + 6 * (two - one);
  const forked = await run(prefix, CHILDREN, `maxTreeBytes: ${most}`);
  for (const { bytes } of forked.seen) if (bytes > most) t.fail(`${bytes} bytes are more than ${most}`);
  const dumps = Math.max(...forked.seen.map((state) => state.dumps));
  t.ok(dumps >= 6 && dumps <= 10, `no more is deleted than must be: there were ${dumps} dumps`);
  const leaks = await leaksOf(t, prefix);
  t.match(leaks.get(forked.pid), { inuseObjects: 7, inuseSpace: 7000 }, 'the root');
});
