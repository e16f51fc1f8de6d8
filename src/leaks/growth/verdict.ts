import type { ProfileMode } from '../../capture/manifest.js';
import type { LeakFinding } from '../finding.js';

/**
 * What a stack held after a round.
 *
 * @since 0.1.0
 */
export interface GrowthPoint {
  /** Calls of the function so far, without those of the warm-up. */
  readonly iterations: number;
  /** In use. In a sampled profile an estimate. */
  readonly bytes: number;
  readonly objects: number;
}

/**
 * A stack that grows with the calls. `bytes` and `objects` are what it has lost from the first round to the last.
 *
 * @since 0.1.0
 */
export interface GrowthFinding extends LeakFinding {
  /** Bytes lost at each call. */
  readonly bytesPerIteration: number;
  /** Blocks lost at each call. */
  readonly objectsPerIteration: number;
  /** Half the width of the 95 % interval of `bytesPerIteration`, in bytes. */
  readonly margin: number;
  /** 0 to 1: 1 less the probability that a stack without a leak grows like this by chance. */
  readonly confidence: number;
  /** What it held before the first and after each round. */
  readonly points: readonly GrowthPoint[];
}

/**
 * What {@link checkNativeLeaks} resolves to. It is plain data: JSON keeps all of it.
 *
 * @since 0.1.0
 */
export interface NativeLeakVerdict {
  /** True: memory is lost at every call. False: none was seen to be. `unknown`: more calls are needed to tell. */
  readonly leaks: boolean | 'unknown';
  /** The check's name, or where it was called. */
  readonly name: string;
  /** One sentence. */
  readonly reason: string;
  /** Stacks that leak, largest first. */
  readonly findings: readonly GrowthFinding[];
  /** Stacks that may leak or not, largest first. */
  readonly suspects: readonly GrowthFinding[];
  /** Stacks that would be findings without the suppressions. */
  readonly suppressed: readonly GrowthFinding[];
  /** Of all findings together. */
  readonly bytesPerIteration: number;
  readonly objectsPerIteration: number;
  /** Smaller leaks could not have been seen, in bytes a call. 0 in an exact profile. */
  readonly detectable: number;
  /** Calls of the warm-up. */
  readonly warmup: number;
  /** Calls that were measured. */
  readonly iterations: number;
  /** When `unknown`: about as many calls would decide; give them with `iterations` or `maxIterations`. Else 0. */
  readonly iterationsNeeded: number;
  /** Rounds that were measured. */
  readonly rounds: number;
  readonly mode: ProfileMode;
  /** Bytes between samples; 0 when exact. */
  readonly sampleInterval: number;
  /** The process that was measured. */
  readonly pid: number;
  /** Whether the test file was run again for it, in a process that can be profiled. */
  readonly rerun: boolean;
  /** Milliseconds that the measurement took. */
  readonly duration: number;
}
