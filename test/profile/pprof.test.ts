import { gunzipSync, gzipSync } from 'node:zlib';
import { Profile as Message, StringTable } from 'pprof-format';
import t from 'tap';
import { parsePprof } from '../../src/profile/pprof.js';
import { toPprof } from '../../src/report/pprof.js';
import { ADDON_STACK, Maker } from './made.js';

const profile = new Maker().profile([
  [1, ADDON_STACK, 1000],
  [2, ADDON_STACK, 20],
]);

t.test('processes come back as they were', async (t) => {
  const sampled = new Maker().profile([[7, ADDON_STACK, 1]], {
    mode: 'sampled',
    sampleInterval: 524_288,
    exit: { code: null, signal: 'SIGTERM' },
    stacks: { walked: 3, truncated: 1, guessed: 0 },
  });
  const back = parsePprof(toPprof({ ...sampled, warnings: ['a warning'] }));
  t.same(back.processes, sampled.processes);
  t.same(back.warnings, ['a warning']);
});

t.test("another program's profiles", async (t) => {
  const strings = new StringTable();
  const type = (name: string, unit: string) => ({ type: strings.dedup(name), unit: strings.dedup(unit) });
  const message = (sampleType: ReturnType<typeof type>[]) =>
    new Message({
      sampleType,
      stringTable: strings,
      sample: [
        { locationId: [1], value: sampleType.map((_, i) => 10 + i), label: [{ key: strings.dedup('bytes'), num: 8 }] },
      ],
      location: [{ id: 1, address: 4096, line: [{ functionId: 1, line: 3 }] }],
      function: [{ id: 1, name: strings.dedup('f'), filename: strings.dedup('f.go') }],
      period: 524_288,
    }).encode();
  const read = parsePprof(message([type('objects', 'count'), type('space', 'bytes')]), { path: 'go.pb' });
  t.match(read.samples, [{ inuseObjects: 10, inuseSpace: 11, allocSpace: 0 }]);
  t.match(read.processes, [{ id: 'go.pb', pid: 0, mode: 'sampled', sampleInterval: 524_288 }]);
  t.match(read.locations, [{ frames: [{ function: 'f', file: 'f.go', line: 3 }] }]);
  t.throws(() => parsePprof(message([type('cpu', 'nanoseconds')])), { message: /no memory values.*CPU/ });
});

t.test('damaged files', async (t) => {
  const bad = (bytes: Uint8Array, what: RegExp) =>
    t.throws(() => parsePprof(bytes, { path: 'x.pb.gz' }), { code: 'ERR_FORKHEAP_BAD_FILE', message: what, line: 1 });
  const whole = toPprof(profile);
  bad(whole.subarray(0, whole.length - 20), /x\.pb\.gz:1: .*compression is damaged/);
  const message = gunzipSync(whole);
  bad(message.subarray(0, message.length - 3), /not a pprof profile/);
  bad(gzipSync(Buffer.from('hello, world')), /not a pprof profile/);
  bad(new Uint8Array(0), /no memory values/);
  bad(Uint8Array.from([0x48, ...Array(11).fill(0xff)]), /longer than 64 bits/);
  t.throws(() => parsePprof(gzipSync(Buffer.alloc(10_000)), { maxBytes: 1000 }), {
    code: 'ERR_FORKHEAP_FILE_TOO_LARGE',
  });
});
