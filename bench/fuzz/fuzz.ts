import { gunzipSync } from 'node:zlib';
import type { Manifest } from '../../src/capture/manifest.js';
import { ForkheapError } from '../../src/errors.js';
import { parseManifest, toMapping } from '../../src/files/manifest-file.js';
import { parseHeapText } from '../../src/profile/parse.js';
import { parsePprof } from '../../src/profile/pprof.js';
import { toPprof } from '../../src/report/pprof.js';
import { codeFrames } from '../../src/symbolize/javascript.js';

const MAPS = `MAPPED_LIBRARIES:
00400000-00500000 r-xp 00001000 00:00 12 /opt/app/node
7f0000010000-7f0000020000 r-xp 00010000 00:00 13 /opt/my app/ümlaut.node
7ffc00000000-7ffc00010000 rw-p 00000000 00:00 0 [stack]
`;
const STACKS = `     3:      300 [     4:      400] @ 0x7f0000010101 0x7ec0000000000018 0x00400201
     1:      200 [     3:      500] @ 0x7f0000030001 0x00400201 0x00400201
`;
const MANIFEST: Manifest = {
  ...{ forkheap: '0.1.0', pid: 7, parentPid: 1, kind: 'child', startTime: '', profileTime: '', argv: ['node', 'a.js'] },
  ...{
    cwd: '/',
    program: '/opt/app/node',
    nodeVersion: '20.20.2',
    gperftools: '/x.so',
    mode: 'exact',
    sampleInterval: 0,
  },
  ...{ stacks: 9, truncatedStacks: 1, dumps: ['a_7.0001.heap'], exit: { code: 0, signal: null } },
  mappings: [{ start: '0x400000', limit: '0x500000', offset: '0x0', file: '/opt/app/node', buildId: 'ab' }],
  code: [{ address: '0x7ec0000000000018', name: 'JS:~get x file:///srv/%C3%BC/app.js:3:23' }],
};
/** With all that a manifest may have. */
const FULL_MANIFEST: Required<Manifest> = {
  ...MANIFEST,
  mode: 'sampled',
  sampleInterval: 524288,
  guessedStacks: 2,
  maxOverhead: 0.05,
  changes: [
    {
      time: '2026-01-31T23:59:59.000Z',
      from: { mode: 'exact', sampleInterval: 0 },
      to: { mode: 'sampled', sampleInterval: 524288 },
      overhead: 0.2,
      dump: 'a_7.0001.heap',
    },
  ],
  code: [
    {
      address: '0x7ec0000000000018',
      name: 'JS:~get x file:///srv/app.js:3:23',
      line: 5,
      column: 9,
      inlinedIn: 'JS:*y /a.js:1:1',
    },
  ],
  leakCheck: {
    mode: 'normal',
    checks: [
      { name: 'whole program', dump: 'a_7.0001.heap', bytes: 100, objects: 1, error: null },
      {
        name: 'queries',
        dump: null,
        bytes: 0,
        objects: 0,
        error: { code: 'ERR_FORKHEAP_LEAK_CHECK_FAILED', message: 'x' },
      },
    ],
  },
};

interface Target {
  name: string;
  seeds: Uint8Array[];
  parse: (bytes: Uint8Array) => void;
  /** Whether its errors have a line. */
  lines: boolean;
}

const PATH = 'fuzzed.file';
const text = (content: string): Uint8Array => Buffer.from(content);

function makeTargets(): Target[] {
  const header = 'heap profile:      4:      500 [     7:      900] @ ';
  const heap = ['heapprofile', 'heap_v2/1024', 'heap/2048', 'growth', 'heapprofile/1'].map((kind) =>
    text(`${header}${kind}\n${STACKS}\n${MAPS}`),
  );
  const pprof = Buffer.from(toPprof(parseHeapText([heap[0] as Uint8Array])));
  return [
    {
      name: 'dumps',
      seeds: heap,
      lines: true,
      parse: (bytes) => {
        const half = bytes.length >> 1;
        parseHeapText([bytes.subarray(0, half), bytes.subarray(half)], { path: PATH, maxBytes: 1 << 20 });
      },
    },
    {
      name: 'pprof',
      seeds: [gunzipSync(pprof), pprof],
      lines: true,
      parse: (bytes) => parsePprof(bytes, { path: PATH, maxBytes: 1 << 20 }),
    },
    {
      name: 'manifests',
      seeds: [text(JSON.stringify(MANIFEST)), text(JSON.stringify(FULL_MANIFEST))],
      lines: false,
      parse: (bytes) => {
        const manifest = parseManifest(Buffer.from(bytes).toString('utf8'), PATH);
        codeFrames(manifest?.code ?? []);
        manifest?.mappings.map(toMapping);
      },
    },
  ];
}

/** Numbers that are the same for the same seed. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below;
  };
}

const SPLICES = [
  '\n',
  ' ',
  '0x',
  '@',
  '-1',
  '99999999999999999999',
  '[',
  ']',
  ':',
  '\0',
  '0xffffffffffffffff',
  'MAPPED_LIBRARIES:\n',
];
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

/** A seed with a few things changed, as disks, editors and enemies do. */
function mutate(seed: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = Buffer.from(seed);
  const pick = (below: number): number => Math.floor(random(below));
  for (let i = pick(3) + 1; i > 0 && bytes.length > 0; i--) {
    const at = pick(bytes.length);
    const length = pick(Math.min(bytes.length - at, 40)) + 1;
    switch (pick(7)) {
      case 0:
        bytes[at] = pick(256);
        break;
      case 1:
        bytes[at] = EXTREMES[pick(EXTREMES.length)] as number;
        break;
      case 2:
        bytes[at] = (bytes[at] as number) ^ (1 << pick(8));
        break;
      case 3:
        bytes = bytes.subarray(0, at);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
        break;
      default: {
        const splice = Buffer.from(SPLICES[pick(SPLICES.length)] as string);
        bytes = Buffer.concat([bytes.subarray(0, at), splice, bytes.subarray(at)]);
      }
    }
  }
  return bytes;
}

/** What came of one target's inputs. */
export interface FuzzResult {
  name: string;
  inputs: number;
  accepted: number;
  refused: number;
  slowestMs: number;
  /** The most that the heap grew by. */
  grownBytes: number;
}

/** An input that was not answered as it should be. */
export class FuzzFailure extends Error {
  constructor(name: string, what: string, input: Uint8Array, cause?: unknown) {
    super(`${name}: ${what}; the input, as base64:\n${Buffer.from(input).toString('base64')}`, { cause });
  }
}

/** Each input must be parsed or refused, soon, by an error that says where. */
function tryInput(target: Target, input: Uint8Array, result: FuzzResult): void {
  const before = performance.now();
  try {
    target.parse(input);
    result.accepted++;
  } catch (error) {
    if (!(error instanceof ForkheapError)) throw new FuzzFailure(target.name, `threw ${error}`, input, error);
    const says = error.path === PATH && error.message.includes(PATH);
    if (!says) throw new FuzzFailure(target.name, `no file in "${error.message}"`, input, error);
    const located = !target.lines || error.code !== 'ERR_FORKHEAP_BAD_FILE' || (error.line ?? 0) > 0;
    if (!located) throw new FuzzFailure(target.name, `no line in "${error.message}"`, input, error);
    result.refused++;
  }
  const took = performance.now() - before;
  if (took > 2000) throw new FuzzFailure(target.name, `took ${Math.round(took)} ms`, input);
  result.slowestMs = Math.max(result.slowestMs, took);
  result.inputs++;
}

/** Feeds `count` damaged files to the parsers. */
export function fuzz(count: number, seed: number): FuzzResult[] {
  const random = randomFrom(seed);
  const start = process.memoryUsage().heapUsed;
  return makeTargets().map((target, _, targets) => {
    const result = { name: target.name, inputs: 0, accepted: 0, refused: 0, slowestMs: 0, grownBytes: 0 };
    for (let i = 0; i < count / targets.length; i++) {
      const input = mutate(target.seeds[i % target.seeds.length] as Uint8Array, random);
      tryInput(target, input, result);
      if (i % 1000 === 0) {
        result.grownBytes = Math.max(result.grownBytes, process.memoryUsage().heapUsed - start);
        if (result.grownBytes > 2 ** 30) throw new FuzzFailure(target.name, 'more than 1 GiB of heap in use', input);
      }
    }
    return result;
  });
}
