import t from 'tap';
import { root, startProcess } from '../helpers/process.js';

t.test('a service whose workers are killed all the time: every one has its whole profile', async (t) => {
  const command = ['node', 'bench/soak/run.mjs', '--kills', '4', '--json'];
  const { code, stdout, stderr } = await startProcess(t, command, { cwd: root }).result;
  t.equal(code, 0, stderr || stdout);
  t.match(JSON.parse(stdout), { good: true, killed: 4, missing: [] });
});
