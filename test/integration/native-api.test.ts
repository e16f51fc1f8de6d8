// Native code that calls gperftools' heap profiler in a process that forkheap profiles: the same one profile. Afterwards it
// may have one of its own.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { root } from '../helpers/process.js';
import { filesIn, manifestsOf, runProfiled } from '../helpers/profiles.js';

t.test('start, dump, text and stop', async (t) => {
  const prefix = tempPrefix(t);
  const folder = dirname(prefix);
  const binary = join(folder, 'profiler-calls');
  const source = join(root, 'test', 'integration', 'programs', 'profiler-calls.cc');
  execFileSync('g++', ['-O1', '-o', binary, source, '-l:libtcmalloc_and_profiler.so.4'], { stdio: 'inherit' });
  const run = await runProfiled(t, [binary, join(folder, 'own')], { prefix, flags: ['--include', 'profiler-calls'] });
  t.same(run.result.stdout.trimEnd().split('\n'), [
    'running 1',
    'text heap profile:, holds the block: 1',
    'running 0',
    'running 1',
    'running 0',
  ]);
  const [manifest] = manifestsOf(run.prefix).values();
  t.equal(manifest?.dumps.length, 2, 'one asked for, one at the stop');
  for (const dump of manifest?.dumps ?? []) {
    t.match(readFileSync(join(run.folder, dump), 'utf8'), /: {2}1234567 \[/, `${dump} holds the block`);
  }
  t.ok((manifest?.stacks ?? 0) > 5);
  t.equal(manifest?.truncatedStacks, 0, "not even those of constructors, which the dynamic linker's entry calls");
  t.ok(filesIn(folder).includes('own.0001.heap'), "gperftools' own profile is written where it was asked for");
});
