// A process that becomes another program leaves what it had; one that only starts other programs does not pay for it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { script } from '../helpers/preloaded.js';
import { filesIn, firstFiles, leaksOf, manifestOf, manifestsOf, runProfiled, sameLeaks } from '../helpers/profiles.js';

t.setTimeout(300_000);

const CHILD = 'test/fixtures/programs/root-leak.mjs';
const leak = { inuseObjects: 321, inuseSpace: 321 * 1000 };

/** A program that leaks, says its pid, and goes on with `code`. */
const leaking = (code: string): string[] =>
  script(`
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(321, 1000);
    require('node:fs').writeSync(1, process.pid + '\\n');
    ${code}
  `);

t.test('a process becomes a program that is not Node', async (t) => {
  const run = await runProfiled(t, leaking("leaky.execHere(['sh', '-c', 'exit 3'])"), { status: 3 });
  const pid = Number(run.result.stdout);
  t.equal(run.result.stderr, '');
  t.same(filesIn(run.folder), firstFiles(run.prefix, [pid]));
  t.match((await leaksOf(t, run.prefix)).get(pid), leak);
  t.equal(manifestOf(run.prefix, pid).exit, null);
});

t.test('a process becomes another Node process, with its own files', async (t) => {
  const run = await runProfiled(t, leaking(`leaky.execHere([process.execPath, '${CHILD}', '5', '1000'])`));
  const pid = Number(run.result.stdout.split('\n')[0]);
  t.same(
    filesIn(run.folder),
    ['', '-2'].flatMap((turn) => [`profile_${pid}${turn}.0001.heap`, `profile_${pid}${turn}.json`]).sort(),
  );
  t.match((await leaksOf(t, `${run.prefix}_${pid}.0001.heap`)).get(pid), leak);
  t.match((await leaksOf(t, `${run.prefix}_${pid}-2.0001.heap`)).get(pid), { inuseObjects: 5, inuseSpace: 5000 });
  const second = JSON.parse(readFileSync(`${run.prefix}_${pid}-2.json`, 'utf8'));
  t.match(second, { pid, kind: 'root', exit: { code: 0 } });
});

t.test('an exec that fails: the program goes on, and so does its profile', async (t) => {
  const code = `
    const failed = [leaky.execHere(['/nonexistent/program']), leaky.execHere(['no-such-program']), leaky.execHere(['/'])];
    leaky.leak(100, 1000);
    console.log(JSON.stringify(failed));
  `;
  const run = await runProfiled(t, leaking(code));
  const [first = '', second = ''] = run.result.stdout.split('\n');
  const pid = Number(first);
  t.same(JSON.parse(second), [2, 2, 13], 'ENOENT, ENOENT, EACCES');
  t.same(filesIn(run.folder), firstFiles(run.prefix, [pid]), 'no dump more than without it');
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 421, inuseSpace: 421_000 });
  t.match(manifestOf(run.prefix, pid), { exit: { code: 0, signal: null } });
});

t.test('a forked child that has leaked and becomes another program', async (t) => {
  const run = await runProfiled(t, program('native-fork.cjs', 40, 1000, 'exec'));
  const processes = leaksIn(run.result.stdout);
  t.same(
    filesIn(run.folder),
    firstFiles(
      run.prefix,
      processes.map(({ pid }) => pid),
    ),
  );
  await sameLeaks(t, run.prefix, processes);
});

for (const start of ['forkAndExec', 'vforkAndExec'] as const) {
  t.test(`${start}: a child that executes another program at once leaves nothing, and takes nothing`, async (t) => {
    const code = `
      const children = [leaky.${start}(['true']), leaky.${start}(['no-such-program'])];
      leaky.leak(100, 1000);
      console.log(JSON.stringify(children.map(({ code }) => code)));
    `;
    const run = await runProfiled(t, leaking(code));
    const [first = '', second = ''] = run.result.stdout.split('\n');
    t.same(JSON.parse(second), [0, 127]);
    t.same(filesIn(run.folder), firstFiles(run.prefix, [Number(first)]));
    t.match((await leaksOf(t, run.prefix)).get(Number(first)), { inuseObjects: 421, inuseSpace: 421_000 });
    t.match(manifestOf(run.prefix, Number(first)), { exit: { code: 0, signal: null } });
  });
}

t.test('a program that is not Node has our library without the allocator; Node below it has both', async (t) => {
  const look = "grep -o -e 'forkheap_preload' -e 'libtcmalloc' /proc/self/maps | sort -u";
  const node =
    "require('node:fs').writeSync(1, 'node ' + /libtcmalloc/.test(require('node:fs').readFileSync('/proc/self/maps')))";
  const code = `
    const { execFileSync } = require('node:child_process');
    const env = { PATH: process.env.PATH, OWN: 'yes' };
    for (const options of [{}, { env }]) {
      console.log(JSON.stringify(String(execFileSync('sh', ['-c', ${JSON.stringify(look)}], options))));
      console.log(JSON.stringify(String(execFileSync('sh', ['-c', '"$0" -e "$1"', process.execPath, ${JSON.stringify(node)}], options))));
    }
  `;
  const run = await runProfiled(t, script(code));
  t.equal(run.result.stderr, '');
  const said = run.result.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.same(said, ['forkheap_preload\n', 'node true', 'forkheap_preload\n', 'node true']);
  t.equal(manifestsOf(run.prefix).size, 3);
});

t.test('Node under another name is known when it runs: it starts a second time, as the same process', async (t) => {
  const prefix = tempPrefix(t);
  const other = join(dirname(prefix), 'some-runtime');
  copyFileSync(process.execPath, other);
  const look = `console.log(JSON.stringify([process.pid, process.argv0, require('node:fs').readFileSync('/proc/self/comm', 'utf8')]))`;
  const alone = spawnSync(other, ['-e', look], { argv0: 'its name', encoding: 'utf8' });
  const code = `
    const { spawnSync } = require('node:child_process');
    const child = spawnSync('${other}', ['-e', ${JSON.stringify(look)}], { argv0: 'its name' });
    console.log(JSON.stringify([process.pid, child.pid, child.status, String(child.stdout), String(child.stderr)]));
  `;
  const run = await runProfiled(t, script(code), { prefix });
  const [parent, child, status, stdout, stderr] = JSON.parse(run.result.stdout);
  t.same([status, stderr], [0, '']);
  t.same(JSON.parse(stdout), [child, 'its name', JSON.parse(alone.stdout)[2]], 'as without forkheap');
  t.same(filesIn(run.folder), [...firstFiles(run.prefix, [parent, child]), 'some-runtime'].sort());
  t.match(manifestOf(run.prefix, child), { kind: 'child', parentPid: parent, exit: { code: 0 } });
});
