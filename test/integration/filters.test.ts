// Which processes of a tree are profiled.
import { basename } from 'node:path';
import t, { type Test } from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { manifestsOf, type ProfiledRun, runProfiled } from '../helpers/profiles.js';

const PROGRAMS = 'test/fixtures/programs';

/** Runs two programs, one of them twice with different arguments. */
const three = `
  const { execFileSync } = require('node:child_process');
  for (const args of [['root-leak.mjs', 'one'], ['root-leak.mjs', 'two'], ['places.mjs', 'three']]) {
    execFileSync(process.execPath, ['${PROGRAMS}/' + args[0], '5', '1000', args[1]]);
  }
`;

/** The processes that were profiled: the last argument of each, `-e` for the root. */
function profiled({ prefix }: Pick<ProfiledRun, 'prefix'>): string[] {
  return [...manifestsOf(prefix).values()].map(({ argv }) => (argv[1] === '-e' ? '-e' : (argv.at(-1) ?? ''))).sort();
}

const cases: [string[], string[]][] = [
  [[], ['-e', 'one', 'three', 'two']],
  [
    ['--include', 'root-leak.mjs'],
    ['one', 'two'],
  ],
  [['--include', '*/places.*'], ['three']],
  [
    ['--include', 'root-leak.mjs', '--include', 'places.mjs'],
    ['one', 'three', 'two'],
  ],
  [['--include', 'two'], ['two']],
  [
    ['--exclude', 'root-leak.mjs'],
    ['-e', 'three'],
  ],
  [['--include', 'root-leak.mjs', '--exclude', 'one'], ['two']],
  [['--include', 'nothing like this'], []],
];
for (const [flags, expected] of cases) {
  t.test(`run ${flags.join(' ')}`, async (t) => {
    const run = await runProfiled(t, script(three), { flags });
    t.equal(run.result.stderr, '');
    t.same(profiled(run), expected);
  });
}

t.test('--include names a program that is not Node', async (t) => {
  const run = await runProfiled(t, ['sh', '-c', `${process.execPath} -e 0; bash -c 'true; true'`], {
    flags: ['--include', 'bash'],
  });
  t.same(
    [...manifestsOf(run.prefix).values()].map(({ program, nodeVersion }) => [basename(program), nodeVersion]),
    [['bash', '']],
  );
});

const functionFilter = async (t: Test, filter: string): Promise<{ asked: string[][]; profiled: string[] }> => {
  const prefix = tempPrefix(t);
  const asked = await callApi<string[][]>(
    t,
    prefix,
    `
    const asked = [];
    const filter = ${filter};
    const profile = api.startHeapProfile({ prefix, children: (command) => { asked.push([...command]); return filter(command); } });
    ${three}
    require('node:child_process').fork('${PROGRAMS}/root-leak.mjs', ['5', '1000', 'four'], { silent: true }).on('exit', () => {
      profile.stop();
      console.log(JSON.stringify(asked));
    });
  `,
  );
  return { asked, profiled: profiled({ prefix }) };
};

t.test('a function chooses by the command line', async (t) => {
  const { asked, profiled } = await functionFilter(t, "(command) => /two|four/.test(command.join(' '))");
  t.same(
    profiled.filter((name) => name !== '-e'),
    ['four', 'two'],
  );
  t.equal(asked.length, 4, 'it is asked once for each child');
  for (const [i, word] of ['one', 'two', 'three', 'four'].entries()) {
    t.equal(asked[i]?.[0], process.execPath);
    t.equal(asked[i]?.at(-1), word);
  }
});

t.test('a function that refuses all', async (t) => {
  t.same((await functionFilter(t, '() => false')).profiled, ['-e']);
});

t.test("startHeapProfile's children: all", async (t) => {
  const prefix = tempPrefix(t);
  await callApi(t, prefix, `api.startHeapProfile({ prefix }); ${three} console.log(1)`);
  t.same(profiled({ prefix }), ['-e', 'one', 'three', 'two']);
  const [root] = [...manifestsOf(prefix).values()].filter(({ kind }) => kind === 'root');
  for (const { pid, kind, parentPid } of manifestsOf(prefix).values()) {
    if (pid !== root?.pid) t.same([kind, parentPid], ['child', root?.pid]);
  }
});
