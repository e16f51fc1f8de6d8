import { gzipSync } from 'node:zlib';
import t from 'tap';
import { ForkheapError } from '../../src/errors.js';
import { totalValues } from '../../src/profile/model.js';
import { parseHeapHeader, parseHeapText } from '../../src/profile/parse.js';
import { unsampleScale } from '../../src/profile/unsample.js';
import { EXACT, MAPS, pieces, SAMPLED } from './texts.js';

const parse = (text: string | Uint8Array, size = 1 << 16) => parseHeapText(pieces(text, size), { path: 'x.heap' });

/** The error of a text that must have one. */
function errorOf(text: string | Uint8Array): ForkheapError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ForkheapError) return error;
    throw error;
  }
  throw new Error(`parsed: ${Buffer.from(text as string).toString('latin1', 0, 200)}`);
}

t.test('an exact dump', async (t) => {
  const profile = parse(EXACT);
  t.match(profile.processes, [{ mode: 'exact', sampleInterval: 0, pid: 0, kind: 'unknown' }]);
  t.equal(profile.samples.length, 2);
  const [first, second] = profile.samples;
  t.match(first, { inuseObjects: 3, inuseSpace: 300, allocObjects: 4, allocSpace: 400 });
  t.same(
    first?.locations.map(({ mapping, offset }) => [mapping?.file, offset]),
    [
      ['/opt/my app/ümlaut.node', 0x10100],
      ['/opt/app/node', 0x1200],
    ],
    'offsets in the file, of the call before the return address',
  );
  t.equal(second?.locations[0]?.mapping, null, 'code made at run time has no mapping');
  t.equal(second?.locations[1], second?.locations[2], 'one address is one location');
  t.same(totalValues(profile), { inuseObjects: 4, inuseSpace: 500, allocObjects: 7, allocSpace: 900 });
});

t.test('a sampled dump is unsampled stack by stack', async (t) => {
  const profile = parse(SAMPLED);
  t.match(profile.processes, [{ mode: 'sampled', sampleInterval: 65536 }]);
  const scale = 1 / (1 - Math.exp(-1000 / 65536));
  t.ok(Math.abs((profile.samples[0]?.inuseSpace ?? 0) - 2000 * scale) < 1e-6);
  t.ok(Math.abs((profile.samples[1]?.allocObjects ?? 0) - scale) < 1e-9);
  t.equal(unsampleScale(1, 1e9, 1024), 1, 'a large allocation is always caught');
  t.equal(unsampleScale(0, 0, 1024), 1);
});

t.test('pieces may be cut anywhere', async (t) => {
  for (const size of [1, 2, 7, 64, 100]) t.same(parse(EXACT, size), parse(EXACT), `${size} bytes at a time`);
});

t.test('headers', async (t) => {
  const kind = (text: string) => parseHeapHeader(`heap profile: 1: 2 [ 3: 4] @ ${text}`);
  t.match(kind('heapprofile'), {
    mode: 'exact',
    values: { inuseObjects: 1, inuseSpace: 2, allocObjects: 3, allocSpace: 4 },
  });
  t.match(kind('heap_v2/524288'), { mode: 'sampled', sampleInterval: 524288 });
  t.match(kind('heap/1024'), { mode: 'sampled', sampleInterval: 512 });
  t.match(kind('growthz'), { mode: 'exact' });
  t.equal(kind('contention'), null);
  t.equal(parseHeapHeader('heap profile: 1: x [ 3: 4] @ heapprofile'), null);
});

t.test('a dump cut anywhere is an error', async (t) => {
  const bytes = Buffer.from(EXACT);
  for (let length = 0; length < bytes.length; length++) {
    const error = errorOf(bytes.subarray(0, length));
    if (error.code !== 'ERR_FORKHEAP_BAD_FILE' || error.path !== 'x.heap' || !error.line) {
      t.fail(`cut after ${length} bytes`, { error });
    }
  }
  t.match(errorOf('').message, /x\.heap:1: .*empty/);
  t.match(errorOf(EXACT.slice(0, 100)), { line: 2, message: /x\.heap:2: .*cut/ });
});

t.test('a missing stack is an error', async (t) => {
  const without = EXACT.split('\n').filter((line) => !line.includes('[     3:'));
  t.match(errorOf(without.join('\n')).message, /300 bytes in use .* first line says 500/);
});

t.test('what gperftools itself cut at 1 MiB is a warning', async (t) => {
  const line = '     1:      100 [     1:      100] @ 0x7f0000010101 0x00400201\n';
  const header = 'heap profile:  99999:  9999900 [ 99999:  9999900] @ heapprofile\n';
  const count = Math.floor((2 ** 20 - 1000 - MAPS.length) / line.length);
  const profile = parse(`${header}${line.repeat(count)}\n${MAPS}`);
  t.match(profile.warnings, [/1 MiB/]);
  t.equal(profile.samples.length, count);
});

t.test('files of another kind are errors that name the line', async (t) => {
  const other: [string, string | Uint8Array][] = [
    ['JSON', '{"pid": 1}\n'],
    ['JSON in one line', `{"pid": ${'1'.repeat(200_000)}}`],
    ['pprof', gzipSync('profile')],
    ['ELF', Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(1000)])],
    ['zeros', Buffer.alloc(300_000)],
    ['text', 'hello\nworld\n'],
    ['another profile', '--- contentionz 1 ---\n'],
  ];
  for (const [name, text] of other) {
    t.match(errorOf(text), { code: 'ERR_FORKHEAP_BAD_FILE', line: 1, message: /not a heap profile/ }, name);
  }
  const lines = EXACT.split('\n');
  const damage = (line: number, text: string) => lines.with(line - 1, text).join('\n');
  t.match(errorOf(damage(2, '     3:      300 [     4:      400] @ 0x7f000001010g')), { line: 2 });
  t.match(errorOf(damage(3, '     1:      200 [     3:      500 @ 0x1')), { line: 3 });
  t.match(errorOf(damage(2, '     3:      300 [     4:      400] @ 0x12345678901234567')), { line: 2 });
  t.match(errorOf(damage(6, 'not a mapping')), { line: 6 });
});

t.test('a text over the limit is not read', async (t) => {
  const options = { path: 'x.heap', maxBytes: 100 };
  t.throws(() => parseHeapText(pieces(EXACT, 64), options), { code: 'ERR_FORKHEAP_FILE_TOO_LARGE' });
});

t.test('build IDs come from outside', async (t) => {
  const file = '/opt/my app/ümlaut.node';
  const mappings = [{ start: 0x7f0000010000, limit: 0, offset: 0, file, buildId: 'ab' }];
  const profile = parseHeapText(pieces(EXACT, 999), { mappings });
  t.same(
    profile.mappings.map(({ buildId }) => buildId),
    ['', 'ab'],
  );
});
