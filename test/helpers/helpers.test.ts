import t from 'tap';
import { runProcess, startProcess } from './process.js';

const script = (code: string): string[] => [process.execPath, '-e', code];

t.test('a process has its output, status and input, and nothing of tap', async (t) => {
  const code =
    'process.stdin.pipe(process.stdout); console.error(process.env.NODE_OPTIONS, process.env.ADDED); process.exitCode = 3';
  const result = await runProcess(t, script(code), { input: 'in', env: { ADDED: 'a b' } });
  t.same(result, { code: 3, signal: null, stdout: 'in', stderr: 'undefined a b\n' });
  const env = await runProcess(t, script('console.log(Object.keys(process.env).join())'));
  t.notMatch(env.stdout, /TAPJS/);
});

t.test('NODE_OPTIONS can be given, and variables taken away', async (t) => {
  const env = { NODE_OPTIONS: '--no-warnings', PATH: undefined };
  const result = await runProcess(t, script('console.log(process.env.NODE_OPTIONS, process.env.PATH)'), { env });
  t.equal(result.stdout, '--no-warnings undefined\n');
});

t.test('a line is waited for, and a signal ends the process', async (t) => {
  const running = startProcess(t, script('console.log("port 12"); setInterval(() => {}, 1e6)'));
  t.equal((await running.line(/^port (\d+)$/))[1], '12');
  running.kill('SIGTERM');
  t.match(await running.result, { code: null, signal: 'SIGTERM' });
  await t.rejects(running.line(/^never$/), /ended \(SIGTERM\)/);
});

t.test('a program that does not exist', async (t) => {
  t.match(await runProcess(t, ['/nonexistent/program']), { code: 127 });
});

t.test('the group is killed at the end of a test', async (t) => {
  let grandchild = 0;
  await t.test('starts a process that starts a process', async (t) => {
    const code =
      'const c = require("child_process").spawn("sleep", ["600"]); console.log(c.pid); setInterval(() => {}, 1e6)';
    grandchild = Number((await startProcess(t, script(code)).line(/^\d+$/))[0]);
  });
  // Its new parent may need a moment to take notice of the end: kill(2) knows a zombie too.
  const state = await runProcess(t, ['ps', '-o', 'state=', '-p', String(grandchild)]);
  t.match(state.stdout.trim(), /^Z?$/);
});
