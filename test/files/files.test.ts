import { chmodSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Manifest } from '../../src/capture/manifest.js';
import { findProcesses } from '../../src/files/find.js';
import { listProcesses } from '../../src/files/list.js';
import { parseManifest } from '../../src/files/manifest-file.js';
import { readProfile } from '../../src/files/profile.js';
import { readDumps, readLatest, withManifests } from '../../src/files/read.js';
import { totalValues } from '../../src/profile/model.js';
import { lsJson, lsText } from '../../src/report/ls.js';
import { EXACT, SAMPLED } from '../profile/texts.js';

const MANIFEST: Manifest = {
  forkheap: '0.1.0',
  pid: 12,
  parentPid: 11,
  kind: 'cluster-worker',
  startTime: '2026-01-31T23:59:59.000Z',
  profileTime: '2026-01-31T23:59:59.000Z',
  argv: ['node', 'server.js'],
  cwd: '/app',
  program: '/usr/bin/node',
  nodeVersion: '20.20.2',
  gperftools: '/usr/lib/x86_64-linux-gnu/libtcmalloc_and_profiler.so.4',
  mode: 'exact',
  sampleInterval: 0,
  stacks: 10,
  truncatedStacks: 0,
  dumps: ['s_12.0001.heap'],
  mappings: [{ start: '0x400000', limit: '0x500000', offset: '0x1000', file: '/opt/app/node', buildId: 'abcd' }],
  exit: { code: 0, signal: null },
};

/** Dumps of a root (11), a worker (12), a second process with the worker's pid, and stock gperftools. */
function folderOf(t: Test): string {
  return t.testdir({
    's_11.0001.heap': EXACT,
    's_11.0010.heap': EXACT,
    's_11.0009.heap': SAMPLED,
    's_11.json': JSON.stringify({ ...MANIFEST, pid: 11, parentPid: 1, kind: 'root' }),
    's_12.0001.heap': EXACT,
    's_12.json': JSON.stringify(MANIFEST),
    's_12-2.0001.heap': SAMPLED,
    's_12-2.json': JSON.stringify({ ...MANIFEST, mode: 'sampled', sampleInterval: 65536 }),
    'stock.0003.heap': EXACT,
    'package.json': '{}',
    other_1234: { '_1.json': '{}' },
    sub: { 's_13.0001.heap': EXACT },
  });
}

const find = (...paths: string[]) => withManifests(findProcesses(paths));

t.test('finds by folder, prefix and file', async (t) => {
  const folder = folderOf(t);
  const names = (...paths: string[]) => find(...paths).map(({ files }) => files.id.slice(folder.length + 1));
  t.same(names(folder), ['stock', 's_11', 's_12', 's_12-2', 'sub/s_13']);
  t.same(names(join(folder, 's')), ['s_11', 's_12', 's_12-2']);
  t.same(names(join(folder, 's_12')), ['s_12'], 'a prefix with its pid');
  t.same(names(join(folder, 'stock')), ['stock']);
  t.same(names(join(folder, 's_12.json')), ['s_12']);
  const [only] = find(join(folder, 's_11.0009.heap'));
  t.match(only, { files: { pid: 11, dumps: [/0009/] }, manifest: { pid: 11 } });
  const dumps = find(join(folder, 's'))[0]?.files.dumps.map((path) => path.slice(-9, -5));
  t.same(dumps, ['0001', '0009', '0010'], 'in the order of their numbers');
});

t.test('paths that lead to nothing', async (t) => {
  const folder = folderOf(t);
  mkdirSync(join(folder, 'empty'));
  for (const path of ['gone', 'empty', 'gone/prefix', 's_1', 'gone.heap']) {
    t.throws(() => findProcesses([join(folder, path)]), { code: 'ERR_FORKHEAP_NO_FILES' }, path);
  }
});

t.test('reads the newest dump of each process, with its manifest', async (t) => {
  const folder = folderOf(t);
  const profile = readLatest(find(join(folder, 's')));
  t.match(profile.processes, [
    { pid: 11, kind: 'root', mode: 'exact' },
    { pid: 12, kind: 'cluster-worker', parentPid: 11, command: 'node server.js', exit: { code: 0 } },
    { pid: 12, mode: 'sampled', sampleInterval: 65536 },
  ]);
  t.equal(totalValues(profile, profile.processes[1]).inuseSpace, 500);
  t.equal(profile.mappings.find((mapping) => mapping.file === '/opt/app/node')?.buildId, 'abcd');
});

t.test('a process without a dump is said to have none', async (t) => {
  const folder = t.testdir({ 's_12.json': JSON.stringify(MANIFEST) });
  const profile = readLatest(find(folder));
  t.match(profile.processes, [{ pid: 12 }]);
  t.match(profile.warnings, [/Process 12 wrote no dump/]);
});

t.test('files that cannot be read', async (t) => {
  const folder = folderOf(t);
  const at = (name: string) => join(folder, name);
  writeFileSync(at('big.heap'), EXACT);
  truncateSync(at('big.heap'), 2 ** 30 + 1);
  const start = performance.now();
  t.throws(() => readLatest(find(at('big.heap'))), { code: 'ERR_FORKHEAP_FILE_TOO_LARGE', path: at('big.heap') });
  t.ok(performance.now() - start < 1000, 'without reading it');
  writeFileSync(at('empty.heap'), '');
  t.throws(() => readLatest(find(at('empty.heap'))), { code: 'ERR_FORKHEAP_BAD_FILE', message: /empty/ });
  t.throws(() => listProcesses(find(at('empty.heap'))), { code: 'ERR_FORKHEAP_BAD_FILE', message: /empty/ });
  t.throws(() => listProcesses(find(at('package.json'))), { code: 'ERR_FORKHEAP_NO_FILES' });
  if (process.getuid?.() !== 0) {
    chmodSync(at('s_12.0001.heap'), 0);
    t.throws(() => readLatest(find(at('s_12'))), { code: 'ERR_FORKHEAP_BAD_FILE' });
  }
});

t.test('one dump that cannot be read takes nothing from the others', async (t) => {
  const folder = folderOf(t);
  const bad = join(folder, 's_12.0001.heap');
  truncateSync(bad, 20);
  const profile = readLatest(find(join(folder, 's')));
  t.same(
    profile.processes.map((process) => totalValues(profile, process).inuseSpace > 0),
    [true, false, true],
  );
  t.match(profile.warnings, [/Left out: .*s_12\.0001\.heap.*\[ERR_FORKHEAP_BAD_FILE\]/]);
  const list = listProcesses(find(join(folder, 's')));
  t.match(list[1]?.dumps, [{ path: bad, size: 20, problem: /ERR_FORKHEAP_BAD_FILE/ }]);
  t.equal(list[2]?.dumps[0]?.problem, null);
  t.match(lsText(list, { width: 200, color: false }), /\? +\? +20 B .* s_12\.0001\.heap[\s\S]*cannot read/);
});

t.test('a manifest that cannot be read takes no dump away', async (t) => {
  const folder = folderOf(t);
  const cut = join(folder, 's_12.json');
  truncateSync(cut, 30);
  const profile = readProfile(join(folder, 's'));
  t.match(profile.warnings, [/s_12\.json: cannot read this manifest, it is not JSON.*\[ERR_FORKHEAP_BAD_FILE\]/]);
  t.equal(profile.processes.length, 3);
  t.ok(profile.processes.every((process) => totalValues(profile, process).inuseSpace > 0));
  t.throws(
    () => find(join(folder, 's')),
    { code: 'ERR_FORKHEAP_BAD_FILE', path: cut },
    'where a verdict depends on it',
  );
});

t.test('a dump that no process has', async (t) => {
  const found = find(join(folderOf(t), 's'));
  t.throws(() => readDumps(found, 7), { code: 'ERR_FORKHEAP_NO_FILES', message: /no process has a dump 7.*1, 9, 10/i });
  t.match(readDumps(found, 9).warnings, [/Process 12 has no dump 9/]);
});

t.test('manifests', async (t) => {
  t.same(parseManifest(JSON.stringify(MANIFEST), 'x.json'), MANIFEST);
  t.equal(parseManifest('{"name": "x"}', 'x.json'), null, "another program's");
  for (const text of ['', '{', JSON.stringify(MANIFEST).slice(0, -10)]) {
    t.throws(() => parseManifest(text, 'x.json'), { code: 'ERR_FORKHEAP_BAD_FILE', path: 'x.json' });
  }
  for (const change of [
    { pid: 'x' },
    { kind: 'x' },
    { argv: [1] },
    { mappings: [{}] },
    { exit: 1 },
    { mode: undefined },
  ]) {
    const text = JSON.stringify({ ...MANIFEST, ...change });
    t.throws(() => parseManifest(text, 'x.json'), { message: new RegExp(Object.keys(change)[0] ?? '') });
  }
});

t.test('ls', async (t) => {
  const list = listProcesses(find(join(folderOf(t), 's')));
  const json = lsJson(list);
  t.match(json.processes[0], { pid: 11, inuseSpace: 500, files: [{ inuseSpace: 500 }, { inuseSpace: Number }, {}] });
  t.ok((json.processes[0]?.files[1]?.inuseSpace ?? 0) > 100_000, 'of a sampled dump the unsampled sum');
  const text = lsText(list, { width: 120, color: false });
  t.match(text, /\n11 root {2}exact/);
  t.match(text, /\n {2}12 cluster-worker {2}exact .*node server\.js \(exit 0\)\n/, 'below its parent');
  t.match(text, /\(exit 0\)\n.* s_12\.0001\.heap\n/, 'a dump below its process');
  t.match(text, /\nin \/.*\n$/);
});

t.test('ls on a narrow terminal', async (t) => {
  const command = `/usr/bin/node ${'/some/long/folder'.repeat(8)}/server.js`;
  const list = listProcesses(find(join(folderOf(t), 's'))).map(({ process, dumps }) => ({
    process: { ...process, command },
    dumps,
  }));
  const text = lsText(list, { width: 80, color: false });
  t.match(text, / s_12\.0001\.heap\n/, 'names of dumps are whole: they are what is typed next');
  t.match(text, /\n {2}12 cluster-worker .*….*server\.js \(exit 0\)\n/, 'the command gives way, not the exit');
  for (const line of text.split('\n').filter((line) => !line.startsWith('in '))) t.ok([...line].length <= 80, line);
});
