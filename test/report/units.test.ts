import t from 'tap';
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
