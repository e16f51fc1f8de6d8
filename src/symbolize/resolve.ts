import type { Frame, Location, Sample } from '../profile/model.js';
import { addressName, shortName } from './names.js';
import { isEngineWork, ownerOf } from './owner.js';
import { isAllocationWrapper } from './wrappers.js';

/** A frame as reports show it. */
export interface ShownFrame {
  /** Without parameters; a file and an offset where there is no name. */
  readonly name: string;
  /** Source file; empty when unknown. */
  readonly file: string;
  /** 0 when unknown. */
  readonly line: number;
  /** Where the function begins, of JavaScript functions; otherwise as `line`. */
  readonly startLine: number;
  /** Path of the mapped file; empty outside every mapping. */
  readonly mapping: string;
  /** An npm package, `node`, `v8`, `(program)`, or a system library. */
  readonly owner: string;
  /** Only hands on its caller's wish for memory, as malloc does. */
  readonly wrapper: boolean;
  /** Of node, V8 or the C library's start of a thread: says nothing about who wanted memory. */
  readonly internal: boolean;
  /** The engine at work for itself, not for the caller. */
  readonly engineWork: boolean;
  /** Of a package or of the program itself. */
  readonly asks: boolean;
}

const START = /^(_start|__libc_start\w*|start_thread|clone3?|__clone3?|__GI___clone\w*|thread_start)$/;
const GLUE = /^(v8::|v8impl::|Napi::details::|node::|cppgc::|heap::base::|Builtins_|napi_)/;

function show(location: Location, frame: Frame | undefined): ShownFrame {
  const name = frame === undefined ? addressName(location) : shownName(location, frame);
  const { name: owner, asks } = ownerOf(location, frame);
  // Code that the engine made and that no code event was about.
  const isNameless = location.mapping === null && frame === undefined;
  const inNode = owner === 'node' || owner === 'v8';
  return {
    name,
    file: frame?.file ?? '',
    line: frame?.line ?? 0,
    startLine: frame?.startLine ?? frame?.line ?? 0,
    mapping: location.mapping?.file ?? '',
    owner,
    wrapper: isAllocationWrapper(location, frame),
    // An instance of a std:: template in node's executable may be an addon's own, bound there by the linker.
    internal: isNameless || START.test(name) || GLUE.test(name) || (inNode && !name.startsWith('std::')),
    engineWork: inNode && isEngineWork(name),
    asks,
  };
}

/** JavaScript names are shown as they are. */
function shownName(location: Location, frame: Frame): string {
  return location.mapping === null && frame.file !== '' ? frame.function : shortName(frame.function);
}

const NO_STACK: readonly ShownFrame[] = [
  {
    name: '[no stack]',
    file: '',
    line: 0,
    startLine: 0,
    mapping: '',
    owner: '[no mapping]',
    wrapper: false,
    internal: false,
    engineWork: false,
    asks: false,
  },
];

const known = new WeakMap<Location, { frames: readonly Frame[]; shown: readonly ShownFrame[] }>();

/** A location's frames as reports show them, innermost first; one without a name when it is not symbolized. */
export function resolveLocation(location: Location): readonly ShownFrame[] {
  const before = known.get(location);
  if (before !== undefined && before.frames === location.frames) return before.shown;
  const { frames } = location;
  const shown = frames.length === 0 ? [show(location, undefined)] : frames.map((frame) => show(location, frame));
  known.set(location, { frames, shown });
  return shown;
}

/** A sample's frames, leaf first; `[no stack]` when it has none. */
export function* resolveStack(sample: Sample): Generator<ShownFrame> {
  if (sample.locations.length === 0) yield* NO_STACK;
  for (const location of sample.locations) yield* resolveLocation(location);
}

/**
 * Who a sample belongs to: the package or program nearest to the allocation. Node, V8 and system libraries allocate on
 * somebody's behalf, and own what nobody asked them for, and what the engine does for itself.
 */
export function sampleOwner(sample: Sample): string {
  let first = '';
  let last = '[no mapping]';
  for (const location of sample.locations) {
    for (const frame of resolveLocation(location)) {
      if (frame.engineWork) return 'v8';
      if (frame.asks) return frame.owner;
      if (first === '' && !frame.wrapper) first = frame.owner;
      last = frame.owner;
    }
  }
  return first === '' ? last : first;
}
