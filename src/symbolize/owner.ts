import { posix } from 'node:path';
import type { Frame, Location } from '../profile/model.js';
import { shortName } from './names.js';
import { isAllocatorFile } from './wrappers.js';

/** The owner of the service's own code, JavaScript and native, outside every `node_modules`. */
export const PROGRAM = '(program)';

const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const LIBC = /^(libc|libpthread|libm|libdl|librt|libresolv|libnss_\w+|ld-linux-x86-64)[.-]/;
const SYSTEM = /^\/(usr|bin|sbin|lib\w*|nix\/store|snap)\/(?!src\/)/;
const ENGINE_NAME = /^(v8|cppgc|heap::base)::|^Builtins_|^v8_Default_embedded_blob/;

// What the engine does for itself, whoever's JavaScript happens to run: it would only hide the package that asked for memory.
const ENGINE_WORK =
  /^v8::internal::((Heap::(CollectGarbage|CollectAll\w*|PerformGarbageCollection|Scavenge|MarkCompact|StartIncrementalMarking))\b|MarkCompactCollector|MarkingBarrier|ConcurrentMarking|MinorMark\w*|Scavenger|ScavengerCollector|IncrementalMarking|Sweeper|Compiler::|compiler::|maglev::|baseline::|OptimizingCompileDispatcher|LazyCompileDispatcher|Snapshot|interpreter::|parsing::|Isolate::Init)/;

/** The npm package that a file belongs to (the innermost `node_modules`), null when to none. */
export function packageOf(file: string): string | null {
  return PACKAGE.exec(file)?.[1] ?? null;
}

/** Whether a frame of the engine shows that it allocates for itself: garbage collection, compilation. */
export function isEngineWork(name: string): boolean {
  return ENGINE_WORK.test(name);
}

/** Who code belongs to. */
export interface Owner {
  /** An npm package, `node`, `v8`, `libc`, {@link PROGRAM}, or a system library or program by its own name. */
  readonly name: string;
  /** Of a package or of the program: others allocate on somebody's behalf. */
  readonly asks: boolean;
}

const asking = (name: string): Owner => ({ name, asks: true });
const serving = (name: string): Owner => ({ name, asks: false });

/** Who a mapped file belongs to. */
export function ownerOfFile(file: string): Owner {
  const name = posix.basename(file);
  // Also that of the npm package named node.
  if (name === 'node' || name === 'nodejs') return serving('node');
  // The profiler's own libraries stand in for malloc.
  if (isAllocatorFile(file)) return serving(name);
  const found = packageOf(file);
  if (found !== null) return asking(found);
  if (LIBC.test(name)) return serving('libc');
  if (file.startsWith('/') && !SYSTEM.test(file)) return asking(PROGRAM);
  return serving(name.replace(/\.so(\.\d+)*$/, ''));
}

/** Who a JavaScript function belongs to. */
function ownerOfScript(frame: Frame): Owner {
  if (frame.file.startsWith('node:')) return serving('node');
  if (frame.file !== '') return asking(packageOf(frame.file) ?? PROGRAM);
  return /^(Builtins_|RegExp:)/.test(frame.function) ? serving('v8') : asking(PROGRAM);
}

/** Who a frame belongs to; code that a package's header put into another file counts for that package. */
export function ownerOf(location: Location, frame: Frame | undefined): Owner {
  const { mapping } = location;
  if (mapping === null) return frame === undefined ? serving('[no mapping]') : ownerOfScript(frame);
  const owner = ownerOfFile(mapping.file);
  if (frame === undefined || (owner.asks && owner.name !== PROGRAM)) return owner;
  const found = packageOf(frame.file);
  // Headers that every addon includes speak for the addon that was built, not for themselves.
  if (found !== null && found !== 'node-addon-api' && found !== 'nan') return asking(found);
  return owner.name === 'node' && ENGINE_NAME.test(shortName(frame.function)) ? serving('v8') : owner;
}
