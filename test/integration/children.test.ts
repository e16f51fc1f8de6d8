// Children are followed however they are started, and stay what they are.
import { dirname } from 'node:path';
import t, { type Test } from 'tap';
import { script } from '../helpers/preloaded.js';
import { filesIn, leaksOf, manifestOf, manifestsOf, type ProfiledRun, runProfiled } from '../helpers/profiles.js';

t.setTimeout(300_000);

const CHILD = 'test/fixtures/programs/root-leak.mjs';

/** Each starts `node CHILD 5 1000` with an environment of its own, in the scope of child_process's functions. */
const ways: Record<string, string> = {
  spawn: 'out(spawn(process.execPath, args, { env }).stdout)',
  'spawn with a shell': 'out(spawn("exec " + line, { env, shell: true }).stdout)',
  fork: 'out(fork(args[0], args.slice(1), { env, silent: true, execArgv: [] }).stdout)',
  exec: 'exec("exec " + line, { env }, done)',
  'exec with promises': 'promisify(exec)("exec " + line, { env }).then(({ stdout }) => done(null, stdout))',
  execFile: 'execFile(process.execPath, args, { env }, done)',
  'execFile with promises':
    'promisify(execFile)(process.execPath, args, { env }).then(({ stdout }) => done(null, stdout))',
  spawnSync: 'done(null, spawnSync(process.execPath, args, { env }).stdout)',
  execSync: 'done(null, execSync("exec " + line, { env }))',
  execFileSync: 'done(null, execFileSync(process.execPath, args, { env }))',
  'spawnSync without options': 'done(null, spawnSync(process.execPath, args).stdout)',
  'execFileSync without options': 'done(null, execFileSync(process.execPath, args))',
};
const setUp = `
  const args = ['${CHILD}', '5', '1000'];
  const line = [process.execPath, ...args].join(' ');
  const env = { OWN: 'yes' };
  const done = (error, stdout) => { if (error) throw error; console.log(JSON.stringify({ parent: process.pid, child: JSON.parse(stdout).processes[0].pid })) };
  const out = async (stream) => { let text = ''; for await (const part of stream) text += part; done(null, text) };
`;
const functions = '{ exec, execFile, execFileSync, execSync, fork, spawn, spawnSync }';
const dialects = {
  CommonJS: `const ${functions} = require('node:child_process'); const { promisify } = require('node:util');`,
  'an ES module': `import ${functions} from 'node:child_process';\nimport { promisify } from 'node:util';`,
};

async function followed(t: Test, { prefix, folder, result }: ProfiledRun): Promise<void> {
  const { parent, child } = JSON.parse(result.stdout) as { parent: number; child: number };
  t.same(filesIn(folder), [parent, child].flatMap((pid) => [`profile_${pid}.0001.heap`, `profile_${pid}.json`]).sort());
  t.match(manifestOf(prefix, child), { pid: child, parentPid: parent, kind: 'child', exit: { code: 0 } });
  t.match((await leaksOf(t, prefix)).get(child), { inuseObjects: 5, inuseSpace: 5000 });
}

for (const [dialect, load] of Object.entries(dialects)) {
  for (const [way, start] of Object.entries(ways)) {
    // The functions are the same; only that they are reached by import needs a look.
    if (dialect !== 'CommonJS' && !['spawn', 'exec with promises', 'execFileSync'].includes(way)) continue;
    t.test(`${way}, in ${dialect}`, async (t) => {
      const run = await runProfiled(t, script(`${load}${setUp}${start};`));
      t.equal(run.result.stderr, '');
      await followed(t, run);
    });
  }
}

t.test('a child by execvp(3) in native code, through a shell', async (t) => {
  const code = `
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    leaky.forkAndExec(['sh', '-c', process.execPath + ' ${CHILD} 5 1000 >&2; true']);
    console.log(process.pid);
  `;
  const run = await runProfiled(t, script(code));
  const parent = Number(run.result.stdout);
  const child = JSON.parse(run.result.stderr).processes[0].pid as number;
  t.match(manifestOf(run.prefix, child), { parentPid: parent, kind: 'child' });
  t.match((await leaksOf(t, run.prefix)).get(child), { inuseObjects: 5, inuseSpace: 5000 });
});

t.test('a shell between parent and child is left out of the tree', async (t) => {
  const code = `
    const { execSync } = require('node:child_process');
    const line = process.execPath + ' ${CHILD} 5 1000; true';
    const run = (line, options) => JSON.parse(execSync(line, options)).processes[0].pid;
    const env = { OWN: 'yes', PATH: process.env.PATH, SHLVL: '1' };
    const children = [run(line), run('sh -c "' + line + '"; true', { env })];
    for (const shell of ['/bin/bash', '/bin/sh']) children.push(run(line, { shell }), run(line, { shell, env }));
    console.log(JSON.stringify([process.pid, ...children]));
  `;
  const { prefix, result } = await runProfiled(t, script(code));
  const [parent, ...children] = JSON.parse(result.stdout) as number[];
  t.equal(children.length, 6);
  for (const child of children) t.match(manifestOf(prefix, child), { parentPid: parent, kind: 'child' });
});

t.test('children that are not Node run as ever, and leave no files', async (t) => {
  const code = `
    const { execFileSync, spawnSync } = require('node:child_process');
    const said = execFileSync('sh', ['-c', 'true; cat; ls / >/dev/null && echo ok'], { input: 'in ', encoding: 'utf8' });
    const failed = spawnSync('sh', ['-c', 'echo bad >&2; exit 7'], { encoding: 'utf8' });
    const killed = spawnSync('sh', ['-c', 'kill -TERM $$'], { encoding: 'utf8' });
    const missing = spawnSync('/nonexistent/program');
    console.log(JSON.stringify([process.pid, said, failed.status, failed.stderr, killed.signal, killed.stderr, missing.error.code]));
  `;
  const { folder, result } = await runProfiled(t, script(code));
  const [pid, ...said] = JSON.parse(result.stdout);
  t.same(said, ['in ok\n', 7, 'bad\n', 'SIGTERM', '', 'ENOENT']);
  t.equal(result.stderr, '');
  t.same(filesIn(folder), [`profile_${pid}.0001.heap`, `profile_${pid}.json`]);
});

t.test('children of worker threads are followed', async (t) => {
  const code = `
    const { Worker } = require('node:worker_threads');
    new Worker(\`
      const { execFileSync } = require('node:child_process');
      const stdout = execFileSync(process.execPath, ['${CHILD}', '5', '1000'], { env: { OWN: 'yes' } });
      console.log(JSON.stringify({ parent: process.pid, child: JSON.parse(stdout).processes[0].pid }));
    \`, { eval: true });
  `;
  await followed(t, await runProfiled(t, script(code)));
});

t.test('a child that leaves its parent behind', async (t) => {
  const code = `
    const { spawn } = require('node:child_process');
    spawn(process.execPath, ['-e', 'process.stdin.on("end", () => console.log(process.pid)).resume()'], {
      detached: true, stdio: ['pipe', 'inherit', 'inherit'],
    }).unref();
  `;
  const { prefix, result } = await runProfiled(t, script(code));
  const child = Number(result.stdout);
  t.equal(manifestsOf(prefix).size, 2);
  t.match(manifestOf(prefix, child), { kind: 'child', exit: { code: 0, signal: null } });
  t.ok(filesIn(dirname(prefix)).includes(`profile_${child}.0001.heap`));
});
