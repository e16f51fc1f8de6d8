import t from 'tap';
import { root, startProcess } from '../helpers/process.js';

t.test('children forked from busy threads: none hangs, each has its own whole profile', async (t) => {
  const command = [
    'node',
    'bench/fork/run.mjs',
    '--children',
    '60',
    '--only',
    'exact,sampled,heapcheck,service',
    '--json',
  ];
  const { code, stdout, stderr } = await startProcess(t, command, { cwd: root }).result;
  t.equal(code, 0, stderr);
  for (const result of JSON.parse(stdout)) {
    t.match(result, { children: 60, hung: 0, crashed: 0 }, result.name);
    if (result.name !== 'heapcheck') t.match(result, { files: 60, wrong: 0 }, result.name);
  }
});
