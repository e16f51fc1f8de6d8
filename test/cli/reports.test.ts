import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli } from '../helpers/forkheap.js';
import { EXACT, MAPS } from '../profile/texts.js';

const LATER = `heap profile: 4: 900 [ 8: 1500] @ heapprofile
     3:      700 [     5:     1000] @ 0x7f0000010101 0x00400201
     1:      200 [     3:      500] @ 0x7f0000030001 0x00400201 0x00400201

${MAPS}`;

const folderOf = (t: Test) =>
  t.testdir({ 'a_1.0001.heap': EXACT, 'a_1.0002.heap': LATER, 'a_2.0001.heap': EXACT, b: { 'b_3.0001.heap': EXACT } });

/** Runs to a good end. */
async function run(t: Test, ...args: string[]) {
  const result = await cli(t, args);
  t.equal(result.code, 0, `forkheap ${args.join(' ')}: ${result.stderr}`);
  return result;
}

const json = async (t: Test, verb: string, ...args: string[]) =>
  JSON.parse((await run(t, verb, '--json', ...args)).stdout);

t.test('filters', async (t) => {
  const a = join(folderOf(t), 'a');
  t.match(await json(t, 'top', a), { total: { inuseSpace: 1400 } });
  t.match(await json(t, 'top', '--dump', 'first', a), { total: { inuseSpace: 1000 } });
  const second = await json(t, 'top', '--dump', '2', a);
  t.match(second, { total: { inuseSpace: 900 }, warnings: ['Process 2 has no dump 2.'] });
  t.match(await json(t, 'top', '--mapping', 'ümlaut.node', a), { total: { inuseSpace: 1000 } });
  t.match(await json(t, 'top', '--focus', 'ümlaut', a), { total: { inuseSpace: 1000 } });
  t.match(await json(t, 'top', '--ignore', 'ümlaut', a), { total: { inuseSpace: 400 } });
  t.match(await json(t, 'top', '--package', '(program)', a), { total: { inuseSpace: 1000 } });
  const bad = await cli(t, ['top', '--focus', '(', a]);
  t.match(bad, { code: 2, stdout: '', stderr: /regular expression.*ERR_FORKHEAP_USAGE/ });
});

t.test('tree', async (t) => {
  const folder = folderOf(t);
  const text = await run(t, 'tree', join(folder, 'a'));
  t.match(text.stdout, /^ +1\.37 KiB 100\.0% {2}all \(2 processes\)\n/);
  t.match(text.stdout, /0x10100 \(ümlaut\.node\)/);
  const tree = await json(t, 'tree', '--internals', '--per-process', join(folder, 'a'));
  t.match(tree.rows, [{ name: 'a_1 (1)', cumulative: { inuseSpace: 900 } }, { name: 'a_2 (2)' }]);
  const inverted = await json(t, 'tree', '--inverted', '--internals', '--depth', '1', join(folder, 'a'));
  t.match(inverted.rows[0], { name: '0x10100 (ümlaut.node)', cumulative: { inuseSpace: 1000 }, children: [] });
});

t.test('merge, and what reads it', async (t) => {
  const folder = folderOf(t);
  const merged = join(folder, 'all.pb.gz');
  await run(t, 'merge', '-o', merged, join(folder, 'a'), join(folder, 'b'));
  t.equal(statSync(merged).mode & 0o777, 0o600);
  t.match(await json(t, 'top', merged), { total: { inuseSpace: 1900 }, processes: { length: 3 } });
  t.match(await json(t, 'top', '--pid', '3', merged), { total: { inuseSpace: 500 } });
  t.match(await cli(t, ['top', '--pid', '9', merged]), { code: 2, stderr: /no process 9; there are: 1, 2, 3/ });
  const again = await cli(t, ['merge', '-o', merged, join(folder, 'a')]);
  t.match(again, { code: 2, stdout: '', stderr: /exists: give another name, or --force.*ERR_FORKHEAP_WRITE_FAILED/ });
  await run(t, 'merge', '--force', '-o', merged, join(folder, 'a'));
  t.match(await cli(t, ['merge', '-o', '/nowhere/x.pb.gz', join(folder, 'a')]), { code: 2, stderr: /WRITE_FAILED/ });
});

t.test('diff', async (t) => {
  const folder = folderOf(t);
  const [a, b] = [join(folder, 'a'), join(folder, 'b')];
  const growth = await json(t, 'diff', '--base-dump', 'first', a, a);
  t.match(growth, { total: { inuseSpace: 400, allocSpace: 600 } });
  t.match(growth.rows[0], { name: '0x10100 (ümlaut.node)', self: { inuseSpace: 400 } });
  const text = await run(t, 'diff', '--base-dump', 'first', a, a);
  t.match(text.stdout, /\+400 B +\+400 B +0 +1 +0x10100 \(ümlaut\.node\)/);
  t.match(await json(t, 'diff', a, '--', b), { total: { inuseSpace: -900 } });
  t.match(await json(t, 'diff', join(folder, 'a_1.0001.heap'), '--', a, b), { total: { inuseSpace: 1400 } });
  t.match(await json(t, 'diff', a, a), { total: { inuseSpace: 0 }, rows: [] });
  t.match(await cli(t, ['diff', a]), { code: 2, stderr: /Give two profiles.*ERR_FORKHEAP_USAGE/ });
  const file = join(folder, 'diff.collapsed');
  await run(t, 'diff', '--base-dump', 'first', '--to', 'collapsed', '-o', file, a, a);
  t.match(readFileSync(file, 'utf8'), / 400\n$/);
});

t.test('export', async (t) => {
  const folder = folderOf(t);
  const begins = {
    pprof: /./,
    speedscope: /^\{"\$schema"/,
    collapsed: /^a_1 \(1\);/,
    heapprofile: /^\{"head"/,
    dhat: /^\{"dhatFileVersion":2/,
  };
  for (const [format, begin] of Object.entries(begins)) {
    const file = join(folder, `x.${format}`);
    await run(t, 'export', '--to', format, '-o', file, join(folder, 'a'));
    t.match(readFileSync(file, 'latin1'), begin, format);
  }
  t.match(await cli(t, ['export', '-o', 'x', folder]), { code: 2, stderr: /--to.*ERR_FORKHEAP_USAGE/ });
});

t.test('flamegraph', async (t) => {
  const folder = folderOf(t);
  const result = await cli(t, ['flamegraph', 'a'], { cwd: folder });
  t.match(result, { code: 0, stderr: '', stdout: 'forkheap-flamegraph-a.html\n' });
  t.ok(existsSync(join(folder, 'forkheap-flamegraph-a.html')));
  t.match(await cli(t, ['flamegraph', 'a'], { cwd: folder }), { code: 2, stderr: /exists.*--force/ });
  const other = ['flamegraph', '--baseline', 'b', '-o', 'diff.html', '--title', '</title><b>', 'a'];
  t.match(await cli(t, other, { cwd: folder }), { code: 0 });
  t.match(readFileSync(join(folder, 'diff.html'), 'utf8'), /<title>&lt;\/title&gt;&lt;b&gt; · forkheap<\/title>/);
});
