// `forkheap run` is transparent: input, output, signals and status are the program's.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { cli } from '../helpers/forkheap.js';
import { callApi, script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, firstFiles, leaksOf, manifestsOf, runProfiled, startProfiled } from '../helpers/profiles.js';

t.setTimeout(300_000);

const wait = 'setInterval(() => {}, 1e6); console.log(process.pid);';

t.test("stdin, stdout and stderr are the program's own", async (t) => {
  const code = 'process.stdin.pipe(process.stdout); process.stderr.write("an error\\n")';
  const input = 'line\n'.repeat(50_000);
  const { result } = await runProfiled(t, script(code), { input });
  t.ok(result.stdout === input, 'all of the input comes out');
  t.equal(result.stderr, 'an error\n');
});

t.test('arguments and options of the program are left alone', async (t) => {
  const words = ['--force', '--prefix', 'x y', '', '-q', '$HOME', '--', 'ü'];
  const folder = t.testdir({ 'p.cjs': 'console.log(JSON.stringify(process.argv.slice(2)))' });
  const command = [process.execPath, join(folder, 'p.cjs'), ...words];
  const { result } = await runProfiled(t, command, { prefix: join(folder, 'profile') });
  t.same(JSON.parse(result.stdout), words);
});

for (const status of [1, 42, 255]) {
  t.test(`status ${status}`, async (t) => {
    await runProfiled(t, script(`process.exit(${status})`), { status });
  });
}

for (const [signal, number] of Object.entries({ SIGTERM: 15, SIGKILL: 9, SIGSEGV: 11 })) {
  t.test(`a program that ends by ${signal}`, async (t) => {
    await runProfiled(t, ['sh', '-c', `kill -${number} $$`], { status: 128 + number });
  });
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const) {
  t.test(`${signal} is passed on to a program that handles it`, async (t) => {
    const code = `process.on('${signal}', () => { console.log('got it'); process.exit(12) }); ${wait}`;
    const running = startProfiled(t, script(code));
    await running.line(/^\d+$/);
    running.kill(signal);
    await running.line(/^got it$/);
    t.match(await running.result, { code: 12, signal: null, stderr: '' });
  });
}

t.test('SIGTERM is passed on to a program that does not handle it', async (t) => {
  const running = startProfiled(t, script(wait));
  const pid = Number((await running.line(/^\d+$/))[0]);
  running.kill('SIGTERM');
  t.match(await running.result, { code: 143, stderr: '' });
  t.same(filesIn(running.folder), firstFiles(running.prefix, [pid]));
});

const child = program('root-leak.mjs', 5, 1000);
t.test('through a shell', async (t) => {
  const run = await runProfiled(t, ['sh', '-c', `${child.join(' ')}; true`]);
  const pid = leaksIn(run.result.stdout)[0]?.pid ?? 0;
  t.same(filesIn(run.folder), firstFiles(run.prefix, [pid]), 'the shell has no files');
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 5, inuseSpace: 5000 });
});

t.test('through npm', async (t) => {
  const cwd = t.testdir({ 'package.json': JSON.stringify({ name: 'x', scripts: { start: child.join(' ') } }) });
  const run = await runProfiled(t, ['npm', 'start', '--silent'], { cwd, prefix: join(cwd, 'profile') });
  const pid = leaksIn(run.result.stdout)[0]?.pid ?? 0;
  const manifests = manifestsOf(run.prefix);
  t.equal(manifests.size, 2, 'npm itself and the program');
  const npm = [...manifests.values()].find((manifest) => manifest.pid !== pid);
  t.match(npm, { kind: 'root', exit: { code: 0 } });
  t.match(manifests.get(pid), { kind: 'child', parentPid: npm?.pid, exit: { code: 0 } });
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 5, inuseSpace: 5000 });
});

const refused = [
  [127, 'ERR_FORKHEAP_PROGRAM_NOT_FOUND', ['no-such-program']],
  [127, 'ERR_FORKHEAP_PROGRAM_NOT_FOUND', ['./no/such/program']],
  [126, 'ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE', ['./package.json']],
  [126, 'ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE', ['./test']],
] as const;
for (const [status, code, command] of refused) {
  t.test(`${command.join(' ')}: ${code}`, async (t) => {
    const prefix = tempPrefix(t);
    const { code: ended, stdout, stderr } = await cli(t, ['run', '--prefix', prefix, '--', ...command]);
    t.equal(ended, status);
    t.equal(stdout, '');
    t.match(stderr, new RegExp(`^forkheap: .*${code}`));
    t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
  });
}

t.test('an option that does not exist', async (t) => {
  const { code, stdout, stderr } = await cli(t, ['run', '--prefx', 'x', '--', 'true']);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(stderr, /--prefx/);
  t.match(stderr, /--prefix/, 'the one that is meant');
});

t.test('a prefix that has files of an earlier run', async (t) => {
  const first = await runProfiled(t, child);
  const { prefix, folder } = first;
  const pid = leaksIn(first.result.stdout)[0]?.pid ?? 0;
  writeFileSync(join(folder, 'profile_notes.txt'), 'mine');
  const before = filesIn(folder).map((name) => readFileSync(join(folder, name), 'utf8'));

  const again = await cli(t, ['run', '--prefix', prefix, '--', ...child]);
  t.equal(again.code, 2);
  t.equal(again.stdout, '', 'the program does not start');
  t.match(again.stderr, /ERR_FORKHEAP_PREFIX_IN_USE/);
  t.same(
    filesIn(folder).map((name) => readFileSync(join(folder, name), 'utf8')),
    before,
  );

  const forced = await runProfiled(t, child, { prefix, flags: ['--force'] });
  const now = leaksIn(forced.result.stdout)[0]?.pid ?? 0;
  t.not(now, pid);
  t.same(filesIn(folder), [...firstFiles(prefix, [now]), 'profile_notes.txt'].sort(), "only forkheap's own files go");
});

t.test('placeholders in the prefix', async (t) => {
  const folder = t.testdir({});
  const prefix = join(folder, '%p', '%h-%e', '100%%');
  const { result } = await runProfiled(t, program('native-fork.cjs', 5, 1000), { prefix });
  const pids = leaksIn(result.stdout).map(({ pid }) => pid);
  t.equal(pids.length, 2);
  for (const pid of pids) {
    const own = join(folder, String(pid), `${hostname()}-node`);
    t.same(readdirSync(own).sort(), [`100%_${pid}.0001.heap`, `100%_${pid}.json`]);
  }
  const leaks = await leaksOf(t, folder);
  for (const pid of pids) t.match(leaks.get(pid), { inuseSpace: 5000 });
});

t.test('a fresh folder for each run, and a summary on stderr', async (t) => {
  const cwd = t.testdir({});
  const seen: string[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const { code, stdout, stderr } = await cli(t, ['run', '--', ...child], { cwd });
    t.equal(code, 0);
    t.equal(leaksIn(stdout).length, 1, "stdout is the program's own");
    t.match(stderr, /^forkheap: ended with status 0; 1 process profiled, /);
    const path = /^forkheap: now run: forkheap top (\S+)$/m.exec(stderr)?.[1] ?? '';
    t.ok((await leaksOf(t, join(cwd, path))).has(leaksIn(stdout)[0]?.pid ?? 0), 'the path it tells has the files');
    seen.push(path);
  }
  t.not(seen[0], seen[1]);
  t.equal(readdirSync(cwd).length, 2);
});

t.test('nothing could be profiled: the summary says so', async (t) => {
  const { code, stderr } = await cli(t, ['run', '--prefix', tempPrefix(t), '--', 'sh', '-c', 'exit 3']);
  t.equal(code, 3);
  t.match(stderr, /no summary: no process of this run/);
});

t.test('files of an earlier process with the same pid stay', async (t) => {
  for (const left of ['json', '0001.heap']) {
    const prefix = tempPrefix(t);
    const code = `
      const mine = prefix + '_' + process.pid;
      require('node:fs').writeFileSync(mine + '.${left}', 'of an earlier process');
      const profile = api.startHeapProfile({ prefix });
      const path = profile.stop();
      console.log(JSON.stringify({ mine, path }));
    `;
    const { mine, path } = await callApi<{ mine: string; path: string }>(t, prefix, code);
    t.equal(readFileSync(`${mine}.${left}`, 'utf8'), 'of an earlier process');
    t.equal(path, `${mine}-2.0001.heap`);
  }
});

t.test('a folder that is not there', async (t) => {
  const prefix = join(t.testdir({}), 'missing', 'profile');
  const { code, stdout, stderr } = await cli(t, ['run', '--prefix', prefix, '--', ...child]);
  t.equal(code, 2);
  t.equal(stdout, '');
  t.match(stderr, /ERR_FORKHEAP_PREFIX_NOT_WRITABLE/);
});

t.test('without forkheap the same program says the same', async (t) => {
  const command = script('console.log(process.argv0, process.title, process.execArgv.length, process.cwd())');
  const plain = await runProcess(t, command);
  const { result } = await runProfiled(t, command);
  t.equal(result.stdout, plain.stdout);
});
