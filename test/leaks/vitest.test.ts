// The growth check under vitest, in each kind of worker.
import { join } from 'node:path';
import t from 'tap';
import { root } from '../helpers/process.js';
import { bin, passes, project } from '../helpers/runners.js';

const vitest = (pool: string): string[] => [bin('vitest'), 'run', 'vitest.test.mjs', `--pool=${pool}`];
const cwd = project(t);
const commands: Record<string, string[]> = {
  forks: vitest('forks'),
  threads: vitest('threads'),
  vmThreads: vitest('vmThreads'),
};

for (const [name, command] of Object.entries(commands)) t.test(name, (t) => passes(t, cwd, command));

t.test('under forkheap run nothing is run again', async (t) => {
  const run = [join(root, 'lib/cli/main.js'), 'run', '--quiet', '--prefix', join(t.testdir({}), 'profile'), '--'];
  await passes(t, cwd, [...run, process.execPath, ...vitest('threads')], false);
});
