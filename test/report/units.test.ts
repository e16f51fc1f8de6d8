import t from 'tap';
import { renderTable } from '../../src/report/table.js';
import { elide, elidePath, formatBytes, formatCount, formatShare, printable } from '../../src/report/units.js';

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

t.test('paths keep their ends', async (t) => {
  const path = '/srv/app/node_modules/abstract-leveldown/abstract-leveldown.js:97';
  t.equal(elidePath(path, 100), path);
  t.equal(elidePath(path, 50), '…/abstract-leveldown/abstract-leveldown.js:97');
  t.equal(elidePath(path, 27), '…/abstract-leveldown.js:97');
  t.equal(elidePath(path, 24), 'abstract-leveldown.js:97');
  t.equal(elidePath(path, 20), 'abstract-l…own.js:97', 'a name too long for it, in its middle');
  t.equal(elidePath('no-slash-at-all', 9), elide('no-slash-at-all', 9));
  t.equal(elidePath('leveldown/node.napi.glibc.node', 17), 'leveldow…ibc.node', 'a package and its file');
  for (let width = 1; width <= path.length; width++) t.ok([...elidePath(path, width)].length <= width, `${width}`);
});

t.test('a table that is too wide loses what it can spare before names are unreadable', async (t) => {
  const columns = [
    { title: 'BYTES', align: 'right' as const },
    { title: 'SHARE', spare: 2 },
    { title: 'PROCS', spare: 1 },
    { title: 'FUNCTION', flexible: 1 },
  ];
  const rows = [['1', '2%', '3', 'a_function_with_a_long_name']];
  const titles = (width: number) => renderTable(columns, rows, { width, color: false }).split('\n')[0];
  t.match(titles(80), /^BYTES {2}SHARE {2}PROCS {2}FUNCTION$/);
  t.match(titles(35), /^BYTES {2}SHARE {2}FUNCTION$/);
  t.match(titles(25), /^BYTES {2}FUNCTION$/);
  for (const width of [80, 39, 35, 25]) {
    const lines = renderTable(columns, rows, { width, color: false }).split('\n');
    t.ok(lines.every((line) => line.length <= width));
  }
});
