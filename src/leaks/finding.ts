import type { Sample } from '../profile/model.js';
import { resolveLocation, type ShownFrame } from '../symbolize/resolve.js';

/**
 * One frame of a leak's stack.
 *
 * @since 0.1.0
 */
export interface LeakFrame {
  /** The function, without parameters; a file and an offset where there is no name. */
  readonly name: string;
  /** Source file; empty when unknown. */
  readonly file: string;
  /** Line of `file`, from 1; 0 when unknown. */
  readonly line: number;
  /** Path of the mapped file; empty for JavaScript. */
  readonly mapping: string;
  /** An npm package, `node`, `v8`, `libc`, `(program)`, or a system library. */
  readonly owner: string;
}

/**
 * Memory that one stack of one process has lost.
 *
 * @since 0.1.0
 */
export interface LeakFinding {
  /** Who lost it: see {@link leakOwner}. */
  readonly owner: string;
  readonly bytes: number;
  readonly objects: number;
  /** Where it was allocated; leaf first, without malloc and its like. */
  readonly stack: readonly LeakFrame[];
  /** The process that lost it. */
  readonly pid: number;
}

/** Who lost a block, and whether that is an addon: code of an npm package or of the program that Node loads. */
export interface LeakOwner {
  readonly name: string;
  readonly addon: boolean;
}

function toLeakFrame({ name, file, line, mapping, owner }: ShownFrame): LeakFrame {
  return { name, file, line, mapping, owner };
}

/** A sample's frames for people: leaf first, without what only hands on the wish for memory. */
export function leakStack(sample: Sample): LeakFrame[] {
  const frames = sample.locations.flatMap((location) => resolveLocation(location));
  const own = frames.findIndex((frame) => !frame.wrapper);
  return frames.slice(Math.max(own, 0)).map(toLeakFrame);
}

/**
 * Who lost a sample's blocks: the native code nearest to the allocation that belongs to an npm package or to the program
 * itself. What lies above the first JavaScript function does not count: Node allocated there, for JavaScript, and Node or V8
 * has to free it.
 */
export function leakOwner(sample: Sample): LeakOwner {
  let first = '';
  for (const location of sample.locations) {
    for (const frame of resolveLocation(location)) {
      if (frame.asks && frame.mapping !== '') return { name: frame.owner, addon: true };
      if (first === '' && !frame.wrapper && frame.mapping !== '') first = frame.owner;
      if (frame.mapping === '' && frame.file !== '') return { name: first === '' ? 'node' : first, addon: false };
    }
  }
  return { name: first === '' ? 'node' : first, addon: false };
}

/** The frame to point at: the owner's own that is nearest to the allocation; the leaf when there is none. */
export function leakPlace({ owner, stack }: Pick<LeakFinding, 'owner' | 'stack'>): LeakFrame | undefined {
  return stack.find((frame) => frame.owner === owner && frame.mapping !== '') ?? stack[0];
}

/** A sample as a finding. */
export function toFinding(sample: Sample, owner: LeakOwner = leakOwner(sample)): LeakFinding {
  const { process, inuseSpace, inuseObjects } = sample;
  return { owner: owner.name, bytes: inuseSpace, objects: inuseObjects, stack: leakStack(sample), pid: process.pid };
}
