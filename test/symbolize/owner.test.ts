import t from 'tap';
import { totalValues } from '../../src/profile/model.js';
import { topRows } from '../../src/report/rows.js';
import { foldInternals } from '../../src/symbolize/fold.js';
import { ownerOf, ownerOfFile } from '../../src/symbolize/owner.js';
import { resolveStack, sampleOwner } from '../../src/symbolize/resolve.js';
import { ADDON_STACK, BUFFER_STACK, GC_STACK, Maker, REFERENCE_STACK, START_STACK } from '../profile/made.js';

t.test('owners of files', async (t) => {
  const owners: Record<string, [string, boolean]> = {
    '/app/node_modules/leveldown/build/Release/leveldown.node': ['leveldown', true],
    '/app/node_modules/.pnpm/@a+b@1/node_modules/@a/b/x.node': ['@a/b', true],
    '/app/node_modules/a/node_modules/b/b.node': ['b', true],
    '/app/node_modules/node/bin/node': ['node', false],
    '/usr/bin/node': ['node', false],
    '/usr/lib/x86_64-linux-gnu/libc.so.6': ['libc', false],
    '/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30': ['libstdc++', false],
    '/usr/src/app/build/Release/mine.node': ['(program)', true],
    '/app/build/Release/mine.node': ['(program)', true],
    '/app/node_modules/forkheap/build/Release/forkheap_preload.so': ['forkheap_preload.so', false],
    '[vdso]': ['[vdso]', false],
  };
  for (const [file, [name, asks]] of Object.entries(owners)) t.same(ownerOfFile(file), { name, asks }, file);
  const mapping = { start: 0, limit: 2, offset: 0, file: '/usr/bin/node', buildId: '' };
  const at = (file: string) =>
    ownerOf({ address: 1, offset: 0, mapping, frames: [] }, { function: 'f', file, line: 1 });
  t.match(at('/x/node_modules/sharp/src/a.cc'), { name: 'sharp' });
  t.match(at('/x/node_modules/nan/nan.h'), { name: 'node' });
  t.match(at('/usr/include/vector'), { name: 'node' });
});

const profile = new Maker().profile([
  [1, ADDON_STACK, 1000],
  [1, REFERENCE_STACK, 200],
  [1, BUFFER_STACK, 300],
  [1, GC_STACK, 40],
  [1, START_STACK, 5],
  [1, [], 6],
]);

t.test('nothing hides the package that asked for memory', async (t) => {
  const owners = profile.samples.map(sampleOwner);
  t.same(owners, ['leveldown', '@scope/canvas', '(program)', 'v8', 'node', '[no mapping]']);
  const rows = topRows(profile, { by: 'package', sort: 'inuseSpace' });
  t.same(
    rows.slice(0, 3).map((row) => [row.name, row.self.inuseSpace]),
    [
      ['leveldown', 1000],
      ['(program)', 300],
      ['@scope/canvas', 200],
    ],
  );
});

t.test('wrappers are never the row', async (t) => {
  const rows = topRows(profile, { by: 'function', sort: 'inuseSpace' }).filter((row) => row.self.inuseSpace > 0);
  t.same(
    rows.map((row) => row.name),
    [
      'std::vector<leveldown::Entry, std::allocator<leveldown::Entry> >::_M_realloc_insert<leveldown::Entry>',
      'node::NodeArrayBufferAllocator::AllocateUninitialized',
      'Canvas::Canvas',
      'v8::internal::MarkCompactCollector::Prepare',
      '[no stack]',
      'ossl_asn1_enc_save',
    ],
  );
  const byLine = topRows(profile, { by: 'line', sort: 'inuseSpace' });
  t.match(
    byLine.find((row) => row.name === 'handleRequest'),
    { file: '/app/server.js', line: 25, mapping: '', cumulative: { inuseSpace: 1240 } },
  );
});

t.test('stacks without inner frames keep their leaf, and every value', async (t) => {
  const folded = foldInternals(profile);
  t.same(totalValues(folded), totalValues(profile));
  const names = folded.samples.map((sample) => [...resolveStack(sample)].map((frame) => frame.name));
  t.same(names, [
    [
      'std::vector<leveldown::Entry, std::allocator<leveldown::Entry> >::_M_realloc_insert<leveldown::Entry>',
      'db_get_many',
      'handleRequest',
    ],
    ['Canvas::Canvas', 'createCanvas', 'handleRequest'],
    ['node::NodeArrayBufferAllocator::AllocateUninitialized', 'readAll'],
    ['v8::internal::MarkCompactCollector::Prepare', 'handleRequest'],
    ['ossl_asn1_enc_save'],
    ['[no stack]'],
  ]);
});
