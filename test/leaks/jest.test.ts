// The growth check under jest, in each kind of worker.
import t from 'tap';
import { bin, passes, project } from '../helpers/runners.js';

const cwd = project(t);
const commands: Record<string, string[]> = {
  'in band': [bin('jest'), '--runInBand', 'jest.test'],
  processes: [bin('jest'), '--maxWorkers=2'],
  threads: [bin('jest'), '--config', 'threads.config.cjs', '--maxWorkers=2'],
};

for (const [name, command] of Object.entries(commands)) t.test(name, (t) => passes(t, cwd, command));
