// The growth check under test runners: the test file is run again in a process that can be profiled.
import t from 'tap';
import { runProcess } from '../helpers/process.js';
import { bin, passes, project } from '../helpers/runners.js';

const cwd = project(t);
const commands: Record<string, string[]> = {
  'a script': ['node.test.cjs'],
  'node --test': ['--test', 'node.test.cjs'],
  tap: ['tap.test.cjs'],
  mocha: [bin('mocha'), 'mocha.test.cjs'],
  'mocha --parallel': [bin('mocha'), '--parallel', '--jobs', '2', 'mocha.test.cjs', 'mocha-2.test.cjs'],
};

for (const [name, command] of Object.entries(commands)) t.test(name, (t) => passes(t, cwd, command));

t.test('a run that cannot be profiled either ends there', async (t) => {
  const code = `
    process.env.LD_PRELOAD = '';
    require('forkheap').checkNativeLeaks(() => {}).catch((error) => console.log(error.code));`;
  const env = { FORKHEAP_CHECK_RESULTS: t.testdir({}) };
  const { stdout } = await runProcess(t, [process.execPath, '-e', code], { cwd, env });
  t.equal(stdout, 'ERR_FORKHEAP_NOT_PRELOADED\n');
});
