import type { Frame, Location, Mapping, Profile, ProfiledProcess, Sample } from '../../src/profile/model.js';

/** A process as a manifest describes it. */
export function makeProcess(pid: number, extra: Partial<ProfiledProcess> = {}): ProfiledProcess {
  return {
    id: `run/app_${pid}`,
    pid,
    parentPid: pid === 1 ? 0 : 1,
    kind: pid === 1 ? 'root' : 'child',
    command: `node worker.js ${pid}`,
    mode: 'exact',
    sampleInterval: 0,
    changes: [],
    startTime: '2026-01-02T03:04:05.678Z',
    exit: null,
    versions: { forkheap: '0.1.0', node: '20.20.2', gperftools: '/usr/lib/libtcmalloc_and_profiler.so.4' },
    stacks: null,
    dumps: [`run/app_${pid}.0001.heap`],
    ...extra,
  };
}

/** A function: `mapped file!name`, or `script.js:3:5!name` for one in JavaScript. */
export type MadeFrame = string;

/** A sample: its stack leaf first, and its bytes in use; of objects there is one, and twice as much was allocated. */
export type MadeSample = [pid: number, stack: readonly MadeFrame[], bytes: number];

/** A symbolized profile of its samples. */
export class Maker {
  readonly #mappings = new Map<string, Mapping>();
  readonly #locations = new Map<string, Location>();

  profile(samples: readonly MadeSample[], extra: Partial<ProfiledProcess> = {}): Profile {
    const processes = new Map<number, ProfiledProcess>();
    const made = samples.map(([pid, stack, bytes]): Sample => {
      const process = processes.get(pid) ?? makeProcess(pid, extra);
      processes.set(pid, process);
      return {
        inuseObjects: 1,
        inuseSpace: bytes,
        allocObjects: 2,
        allocSpace: 2 * bytes,
        locations: stack.map((frame) => this.#location(frame)),
        process,
      };
    });
    return {
      processes: [...processes.values()],
      mappings: [...this.#mappings.values()],
      locations: [...new Set(made.flatMap((sample) => sample.locations))],
      samples: made,
      warnings: [],
    };
  }

  #location(text: string): Location {
    let location = this.#locations.get(text);
    if (location === undefined) {
      const at = text.indexOf('!');
      const [place, name] = [text.slice(0, at), text.slice(at + 1)];
      const [, file = '', line = '', column = ''] = /^(.*):(\d+):(\d+)$/.exec(place) ?? [];
      const index = this.#locations.size + 1;
      if (file === '') {
        const mapping = this.#mapping(place);
        const frame: Frame = { function: name, file: '', line: 0 };
        // The same for a function in whatever profile it is.
        const offset = [...text].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) % 0x10_0000, 7) * 16;
        location = { address: mapping.start + offset + 1, mapping, offset, frames: [frame] };
      } else {
        const frame: Frame = { function: name, file, line: Number(line), column: Number(column) };
        location = { address: 2 ** 52 + 16 * index, mapping: null, offset: 0, frames: [frame] };
      }
      this.#locations.set(text, location);
    }
    return location;
  }

  #mapping(file: string): Mapping {
    let mapping = this.#mappings.get(file);
    if (mapping === undefined) {
      const start = 0x7f00_0000_0000 + 0x100_0000 * this.#mappings.size;
      mapping = { start, limit: start + 0x100_0000, offset: 0, file, buildId: '' };
      this.#mappings.set(file, mapping);
    }
    return mapping;
  }
}

const NODE = '/usr/bin/node';
const ADDON = '/app/node_modules/leveldown/prebuilds/node.napi.node';

/** Leaf first: an addon that is called from a service's JavaScript through Node-API. */
export const ADDON_STACK: readonly MadeFrame[] = [
  '/app/node_modules/forkheap/build/Release/forkheap_preload.so!malloc',
  `${ADDON}!xmlMemMalloc`,
  `${NODE}!std::vector<leveldown::Entry, std::allocator<leveldown::Entry> >::_M_realloc_insert<leveldown::Entry>`,
  `${ADDON}!db_get_many(napi_env__*, napi_callback_info__*)`,
  `${NODE}!v8impl::(anonymous namespace)::FunctionCallbackWrapper::Invoke`,
  `${NODE}!v8::internal::Builtin_HandleApiCall(int, unsigned long*, v8::internal::Isolate*)`,
  `${NODE}!Builtins_CEntry_Return1_ArgvOnStack_BuiltinExit`,
  '/app/server.js:25:7!handleRequest',
  'node:internal/process/task_queues:67:35!processTicksAndRejections',
  `${NODE}!Builtins_JSEntry`,
  `${NODE}!node::SpinEventLoopInternal(node::Environment*)`,
  `${NODE}!main`,
  '/usr/lib/x86_64-linux-gnu/libc.so.6!__libc_start_main@@GLIBC_2.34',
];

export const REFERENCE_STACK: readonly MadeFrame[] = [
  `${NODE}!operator new(unsigned long)`,
  `${NODE}!v8impl::Reference::New(napi_env__*, v8::Local<v8::Value>, unsigned int)`,
  `${NODE}!napi_create_reference`,
  '/app/node_modules/@scope/canvas/canvas.node!Canvas::Canvas(int)',
  '/app/node_modules/@scope/canvas/index.js:3:9!createCanvas',
  '/app/server.js:25:7!handleRequest',
];

export const BUFFER_STACK: readonly MadeFrame[] = [
  `${NODE}!node::UncheckedMalloc(unsigned long)`,
  `${NODE}!node::NodeArrayBufferAllocator::AllocateUninitialized(unsigned long)`,
  `${NODE}!v8::internal::Builtin_ArrayBufferConstructor(int, unsigned long*, v8::internal::Isolate*)`,
  'node:buffer:950:7!allocUnsafe',
  '/app/server.js:40:1!readAll',
];

export const GC_STACK: readonly MadeFrame[] = [
  `${NODE}!v8::internal::Malloced::operator new(unsigned long)`,
  `${NODE}!v8::internal::MarkCompactCollector::Prepare()`,
  `${NODE}!v8::internal::Heap::CollectGarbage(v8::internal::AllocationSpace)`,
  '/app/server.js:25:7!handleRequest',
];

export const START_STACK: readonly MadeFrame[] = [
  `${NODE}!CRYPTO_zalloc`,
  `${NODE}!ossl_asn1_enc_save`,
  `${NODE}!node::InitCryptoOnce()`,
  `${NODE}!main`,
];
