// The stack walk reaches the outermost frame, or the 32 frames that gperftools keeps.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Manifest } from '../../src/capture/manifest.js';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { cli, readTop, rowOf } from '../helpers/forkheap.js';

for (const name of ['root-leak.mjs', 'worker-thread.mjs', 'places.mjs']) {
  t.test(`${name}: at least 99.9 % of the stacks are whole`, async (t) => {
    const prefix = tempPrefix(t);
    const { code, stdout } = await cli(t, ['run', '--quiet', '--prefix', prefix, '--', ...program(name, 50, 100)]);
    t.equal(code, 0);
    const [leaking] = leaksIn(stdout);
    const manifest = JSON.parse(readFileSync(`${prefix}_${leaking?.pid}.json`, 'utf8')) as Manifest;
    t.ok(manifest.stacks > 10_000, `${manifest.stacks} stacks`);
    t.ok(manifest.truncatedStacks <= manifest.stacks / 1000, `${manifest.truncatedStacks} of them cut`);
  });
}

t.test('the outermost frame of the main thread has everything below it', async (t) => {
  const prefix = tempPrefix(t);
  await cli(t, [
    'run',
    '--quiet',
    '--no-javascript',
    '--prefix',
    join(prefix),
    '--',
    ...program('root-leak.mjs', 50, 100),
  ]);
  const report = await readTop(t, prefix);
  const start = rowOf(report, '_start') ?? rowOf(report, '__libc_start_main');
  // What the dynamic linker keeps, from glibc 2.41 on a third of it all, is not below it.
  const linker = report.rows.filter(({ mapping }) => /ld-linux/.test(mapping ?? ''));
  const kept = Math.max(0, ...linker.map(({ cumulative }) => cumulative.inuseSpace));
  t.ok(
    (start?.cumulative.inuseSpace ?? 0) > (report.total.inuseSpace - kept) / 2,
    'more than half of the bytes in use',
  );
});

t.test('an addon that lies where worker threads had their code is found', async (t) => {
  const prefix = tempPrefix(t);
  const command = program('after-workers.mjs', 400, 1000, t.testdir({}));
  const { code, stderr } = await cli(t, ['run', '--quiet', '--prefix', prefix, '--', ...command]);
  t.equal(code, 0, stderr);
  const rows = (await readTop(t, prefix)).rows.filter((row) => row.name === 'leaky::LeakBlocks');
  t.equal(rows.length, 4, 'copies of the addon');
  t.same(new Set(rows.map((row) => row.self.inuseObjects)), new Set([100]));
});
