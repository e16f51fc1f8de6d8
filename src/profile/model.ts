import type { ManifestExit, ModeChange, ProcessKind, ProfileMode } from '../capture/manifest.js';

/**
 * The four values of a sample, in objects and bytes. In a sampled profile they are estimates with a fraction; reports round
 * them at the very end.
 *
 * @since 0.1.0
 */
export interface Values {
  inuseObjects: number;
  inuseSpace: number;
  allocObjects: number;
  allocSpace: number;
}

/**
 * A range of a process's addresses with the file that lies there.
 *
 * @since 0.1.0
 */
export interface Mapping {
  readonly start: number;
  readonly limit: number;
  /** Where `start` lies in the file, in bytes. */
  readonly offset: number;
  /** Path in the profiled process, or a name such as `[vdso]`. */
  readonly file: string;
  /** GNU build ID, hexadecimal; empty when unknown. */
  readonly buildId: string;
}

/**
 * One function at a {@link Location}.
 *
 * @since 0.1.0
 */
export interface Frame {
  /** Demangled, with parameters; of a JavaScript function its name. */
  readonly function: string;
  /** Source file; empty when unknown. */
  readonly file: string;
  /**
   * Line of `file` that is executing, from 1; 0 when unknown. In a JavaScript function whose calls are unknown it is the line where
   * the function begins.
   */
  readonly line: number;
  /** Column of `line`, from 1, where known. */
  readonly column?: number;
  /** Line where the function begins, from 1, where known: of JavaScript functions. */
  readonly startLine?: number;
  /** Column of `startLine`, from 1, where known. */
  readonly startColumn?: number;
}

/**
 * An instruction address in a stack, or a JavaScript function in its place: that has no mapping, and its frame from the
 * beginning.
 *
 * @since 0.1.0
 */
export interface Location {
  /** The return address as it was in the process. */
  readonly address: number;
  readonly mapping: Mapping | null;
  /** Offset in the mapping's file of the call (one before the return address); 0 without a mapping. */
  readonly offset: number;
  /** Innermost inlined call first; empty until symbolized, and when there is no name. */
  frames: readonly Frame[];
}

/**
 * The software in a process.
 *
 * @since 0.1.0
 */
export interface ProcessVersions {
  /** The forkheap that profiled it. */
  readonly forkheap: string;
  /** Empty in a process that is not Node. */
  readonly node: string;
  /** The file of gperftools. */
  readonly gperftools: string;
}

/**
 * The process that a sample comes from. What only its manifest knows is null when there is none.
 *
 * @since 0.1.0
 */
export interface ProfiledProcess {
  /** Tells processes with the same pid apart: the path of its files without `.json`. */
  readonly id: string;
  /** 0 when unknown. */
  readonly pid: number;
  readonly parentPid: number | null;
  readonly kind: ProcessKind | 'unknown';
  /** The command line; empty when unknown. */
  readonly command: string;
  readonly mode: ProfileMode;
  /** Bytes between samples; 0 in exact mode. */
  readonly sampleInterval: number;
  /** Changes of mode and interval that a limit on the overhead has made, oldest first. */
  readonly changes: readonly ModeChange[];
  /** ISO 8601. */
  readonly startTime: string | null;
  readonly exit: ManifestExit | null;
  /** What was running; null when unknown. */
  readonly versions: ProcessVersions | null;
  /**
   * How many stacks were walked in it; how many of them end before their outermost frame; and how many have frames whose
   * callers were found by reading code that has no unwind tables. Null when unknown.
   */
  readonly stacks: { readonly walked: number; readonly truncated: number; readonly guessed: number } | null;
  /** Paths of its dumps, oldest first. */
  readonly dumps: readonly string[];
}

/**
 * One allocation stack of one process.
 *
 * @since 0.1.0
 */
export interface Sample extends Values {
  /** Leaf first. */
  readonly locations: readonly Location[];
  readonly process: ProfiledProcess;
}

/**
 * What one or several dumps say.
 *
 * @since 0.1.0
 */
export interface Profile {
  readonly processes: readonly ProfiledProcess[];
  readonly mappings: readonly Mapping[];
  readonly locations: readonly Location[];
  readonly samples: readonly Sample[];
  /** Sentences for the reader about what this profile cannot show. */
  readonly warnings: readonly string[];
}

/** The names of the four values. */
export const VALUE_KEYS: readonly (keyof Values)[] = ['inuseObjects', 'inuseSpace', 'allocObjects', 'allocSpace'];

/** Four zeros. */
export function zeroValues(): Values {
  return { inuseObjects: 0, inuseSpace: 0, allocObjects: 0, allocSpace: 0 };
}

/** Adds `values` to `sum`. */
export function addValues(sum: Values, values: Values): void {
  sum.inuseObjects += values.inuseObjects;
  sum.inuseSpace += values.inuseSpace;
  sum.allocObjects += values.allocObjects;
  sum.allocSpace += values.allocSpace;
}

/** The four values as whole numbers, for printing. */
export function roundValues(values: Values): Values {
  return {
    inuseObjects: Math.round(values.inuseObjects),
    inuseSpace: Math.round(values.inuseSpace),
    allocObjects: Math.round(values.allocObjects),
    allocSpace: Math.round(values.allocSpace),
  };
}

/**
 * Sums the samples, of one process or of all.
 *
 * @since 0.1.0
 */
export function totalValues(profile: Profile, process?: ProfiledProcess): Values {
  const sum = zeroValues();
  for (const sample of profile.samples) {
    if (process === undefined || sample.process === process) addValues(sum, sample);
  }
  return sum;
}
