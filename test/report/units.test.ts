import t from 'tap';
import type { Location } from '../../src/profile/model.js';
import { ownerOfFile, packageOfLocation } from '../../src/report/owner.js';
import { elide, formatBytes, formatCount, formatShare, printable } from '../../src/report/units.js';

t.test('bytes', async (t) => {
  const texts = [0, 1023, 1024, 1536, 10_240, 102_400, 1_048_575, 2 ** 30, -2048].map(formatBytes);
  t.same(texts, ['0 B', '1023 B', '1.00 KiB', '1.50 KiB', '10.0 KiB', '100 KiB', '1.00 MiB', '1.00 GiB', '-2.00 KiB']);
  t.equal(formatCount(1234567.4), '1,234,567');
  t.equal(formatShare(1, 3), '33.3%');
  t.equal(formatShare(0, 0), '-');
});

t.test('long names lose their middle', async (t) => {
  t.equal(elide('abcdefghij', 5), 'ab…ij');
  t.equal(elide('abc', 3), 'abc');
  t.equal(elide('abc', 1), '…');
  t.equal(printable('a\u001b[2J\nb\u202e'), 'a?[2J?b?');
});

t.test('owners', async (t) => {
  const owners = {
    '/app/node_modules/leveldown/build/Release/leveldown.node': 'leveldown',
    '/app/node_modules/.pnpm/@a+b@1/node_modules/@a/b/x.node': '@a/b',
    '/app/node_modules/a/node_modules/b/b.node': 'b',
    '/usr/bin/node': 'node',
    '/usr/lib/x86_64-linux-gnu/libc.so.6': 'libc',
    '/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30': 'libstdc++',
    '/app/build/Release/mine.node': 'mine',
    '[vdso]': '[vdso]',
  };
  for (const [file, owner] of Object.entries(owners)) t.equal(ownerOfFile(file), owner, file);
  const at = (...files: string[]): Location => ({
    address: 1,
    offset: 0,
    mapping: { start: 0, limit: 2, offset: 0, file: '/usr/bin/node', buildId: '' },
    frames: files.map((file) => ({ function: 'f', file, line: 1 })),
  });
  t.equal(packageOfLocation(at('/x/node_modules/nan/nan.h', '/x/node_modules/sharp/src/a.cc')), 'sharp');
  t.equal(packageOfLocation(at('/usr/include/vector')), null);
});
