// What dumps may take on disk is bounded: the oldest go first, the first and the latest stay.
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { filesIn, leaksOf, manifestOf, manifestsOf, runProfiled } from '../helpers/profiles.js';

t.setTimeout(300_000);

const DUMPS = 10;

interface Dumped {
  pid: number;
  /** Sizes of the dumps, as they were written. */
  sizes: number[];
  /** Bytes of the dumps in the folder after each dump. */
  totals: number[];
  /** Their names. */
  kept: string[][];
}

/** A script that dumps DUMPS times, one more block leaked each time. */
const dumping = (options: string): string => `
  const { readdirSync, statSync } = require('node:fs');
  const { basename, dirname, join } = require('node:path');
  const folder = dirname(prefix);
  const profile = api.startHeapProfile({ prefix, ${options} });
  const sizes = [];
  const totals = [];
  const kept = [];
  for (let i = 1; i <= ${DUMPS}; i++) {
    leaky.leak(1, 1000);
    sizes.push(statSync(profile.dump()).size);
    const names = readdirSync(folder).filter((name) => name.startsWith(basename(prefix) + '_') && name.endsWith('.heap'));
    kept.push(names.sort());
    totals.push(names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0));
  }
  console.log(JSON.stringify({ pid: process.pid, sizes, totals, kept }));
`;

const nameOf = (pid: number, number: number): string => `profile_${pid}.${String(number).padStart(4, '0')}.heap`;

for (const [limit, most] of [
  [1, 2],
  [2, 2],
  [4, 4],
] as const) {
  t.test(`maxDumps: ${limit}`, async (t) => {
    const prefix = tempPrefix(t);
    const { pid, kept } = await callApi<Dumped>(t, prefix, dumping(`maxDumps: ${limit}`));
    for (let last = 1; last <= DUMPS; last++) {
      // The first, and the latest ones.
      const numbers = Array.from({ length: last }, (_, i) => i + 1).filter((n) => n === 1 || n > last - most + 1);
      t.same(
        kept[last - 1],
        numbers.map((number) => nameOf(pid, number)),
        `after dump ${last}`,
      );
    }
    const names = filesIn(dirname(prefix)).filter((name) => name.endsWith('.heap'));
    t.same(manifestOf(prefix, pid).dumps, names, 'the manifest names what is there');
    // The process ended without stop(): its last dump came after the tenth.
    t.same([names[0], names.at(-1)], [nameOf(pid, 1), nameOf(pid, DUMPS + 1)]);
    for (const [name, blocks] of [
      [names[0], 1],
      [names.at(-1), DUMPS],
    ] as const) {
      t.equal((await leaksOf(t, join(dirname(prefix), name ?? ''))).get(pid)?.inuseObjects, blocks, `${name}`);
    }
  });
}

t.test('maxBytes', async (t) => {
  const prefix = tempPrefix(t);
  // Without a limit first: how large they are. They hardly grow.
  const { sizes } = await callApi<Dumped>(t, prefix, dumping(''));
  const limit = Math.round(3.5 * Math.max(...sizes));
  const { pid, kept, totals } = await callApi<Dumped>(t, `${prefix}-limited`, dumping(`maxBytes: ${limit}`));
  // Three of about a third each; gperftools 2.16 and newer have larger and smaller ones.
  const names = kept.at(-1) ?? [];
  const expected = [1, DUMPS - 1, DUMPS].map((number) => nameOf(pid, number).replace('profile', 'profile-limited'));
  t.same([names[0], ...names.slice(-2)], expected);
  t.ok(names.length <= 4, `${names.length} dumps`);
  t.ok(Math.max(...totals) <= limit, `${Math.max(...totals)} bytes are within ${limit}`);
});

t.test('maxBytes below two dumps: the first and the latest stay', async (t) => {
  const prefix = tempPrefix(t);
  const { pid, kept } = await callApi<Dumped>(t, prefix, dumping('maxBytes: 1'));
  t.same(kept.at(-1), [nameOf(pid, 1), nameOf(pid, DUMPS)]);
});

// Leaks 20 times 1 MB, which makes about as many automatic dumps.
const growing = script(`
  const { leaky } = require('./test/fixtures/programs/leaky.cjs');
  for (let i = 0; i < 20; i++) leaky.leak(1000, 1000);
  console.log(process.pid);
`);
const automatic = ['--dump-allocated', '1000000', '--dump-every', '0'];

t.test('run --keep --max-dumps bounds the automatic dumps', async (t) => {
  const run = await runProfiled(t, growing, { flags: [...automatic, '--keep', '--max-dumps', '5'] });
  const pid = Number(run.result.stdout);
  const dumps = filesIn(run.folder).filter((name) => name.endsWith('.heap'));
  t.equal(dumps.length, 5);
  t.equal(dumps[0], nameOf(pid, 1), 'the first stays');
  const last = Number(/\.(\d+)\.heap$/.exec(dumps.at(-1) ?? '')?.[1]);
  t.ok(last >= 15, `dumps were made and went: the last is ${last}`);
  t.same(
    dumps.slice(1),
    [3, 2, 1, 0].map((back) => nameOf(pid, last - back)),
  );
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 20_000, inuseSpace: 20_000_000 });
});

t.test('run without --keep: one dump, replaced', async (t) => {
  const run = await runProfiled(t, growing, { flags: automatic });
  const pid = Number(run.result.stdout);
  t.same(filesIn(run.folder), [nameOf(pid, 1), `profile_${pid}.json`]);
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 20_000, inuseSpace: 20_000_000 });
});

t.test('an automatic dump that falls due while the program ends takes nothing from the last one', async (t) => {
  const ending = script(`
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(1000, 1000);
    const kept = Buffer.alloc(12_345_678, 1);
    process.on('exit', () => {
      for (let i = 0; i < 20; i++) leaky.leak(1000, 1000);
      kept.fill(2);
    });
    console.log(process.pid);
  `);
  const run = await runProfiled(t, ending, { flags: automatic });
  const pid = Number(run.result.stdout);
  t.same(filesIn(run.folder), [nameOf(pid, 1), `profile_${pid}.json`]);
  t.match(manifestOf(run.prefix, pid), { exit: { code: 0, signal: null } });
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 1000, inuseSpace: 1_000_000 });
});

t.test('run --max-tree-dumps bounds all processes together', async (t) => {
  const one = program('root-leak.mjs', 5, 1000).join(' ');
  const command = ['sh', '-c', `for i in 1 2 3 4 5 6; do ${one}; done`];
  const run = await runProfiled(t, command, { flags: ['--max-tree-dumps', '3'] });
  const pids = run.result.stdout
    .trimEnd()
    .split('\n')
    .map((line) => leaksIn(line)[0]?.pid ?? 0);
  t.equal(pids.length, 6);
  t.same([...manifestsOf(run.prefix).keys()].sort(), [...pids].sort(), 'each process has its manifest');
  const dumps = filesIn(run.folder).filter((name) => name.endsWith('.heap'));
  const left = [pids[0], pids[4], pids[5]].map((pid) => nameOf(pid ?? 0, 1)).sort();
  t.same(dumps, left, 'the oldest process and the latest ones');
});

t.test('run --max-tree-bytes bounds all processes together', async (t) => {
  const one = program('root-leak.mjs', 5, 1000).join(' ');
  const size = async (flags: string[]): Promise<number[]> => {
    const run = await runProfiled(t, ['sh', '-c', `for i in 1 2 3 4 5 6; do ${one}; done`], {
      flags,
      prefix: tempPrefix(t, `p${flags.length}`),
    });
    const dumps = filesIn(run.folder).filter((name) => name.endsWith('.heap'));
    return dumps.map((name) => statSync(join(run.folder, name)).size);
  };
  const free = await size([]);
  t.equal(free.length, 6);
  const limit = Math.round(2.5 * Math.max(...free));
  const bounded = await size(['--max-tree-bytes', String(limit)]);
  t.equal(bounded.length, 2);
  t.ok(bounded.reduce((a, b) => a + b) <= limit);
});
