import type { ProfileMode } from '../../capture/manifest.js';
import { defaultSampleInterval } from '../../capture/options.js';
import { ForkheapError } from '../../errors.js';
import { readSuppressions, type Suppression } from '../suppressions.js';

/**
 * Whose growth counts: that of addons (native code of npm packages, and of the program itself), of everything in the process,
 * or of the packages named.
 *
 * @since 0.1.0
 */
export type LeakOwners = 'addons' | 'all' | readonly string[];

/**
 * Options of {@link checkNativeLeaks}.
 *
 * @since 0.1.0
 */
export interface NativeLeakOptions {
  /** What the check is called in reports. Tells checks on one line of a test file apart when the file is run again. */
  name?: string;
  /** Calls in each round. Default 100. Raise it for a cache that takes more than a thousand calls to fill. */
  iterations?: number;
  /** Calls before the first round, for what is made once. Default: two rounds. */
  warmup?: number;
  /** Rounds in a series, 4 to 100. Default 8. A leak has to grow in two series, the second of twice as many calls. */
  rounds?: number;
  /** Calls in all, at most. Default: 500 rounds' worth. */
  maxIterations?: number;
  /** Milliseconds that the measurement may take; then what is not decided is `unknown`. Default 60,000. */
  timeout?: number;
  /** Of the profile that is made for the check, where none runs yet. Default `exact`. */
  mode?: ProfileMode;
  /** Bytes between samples when that profile is sampled. Default 524,288. */
  sampleInterval?: number;
  /** In a sampled profile: the smallest leak that has to be seen, in bytes a call. Default 2,048. Smaller takes more calls. */
  smallest?: number;
  /** Default `addons`. */
  owners?: LeakOwners;
  /** Files with suppressions in LeakSanitizer's syntax, or suppressions: stacks that are no leaks. */
  suppressions?: string | readonly (string | Suppression)[];
  /** Run the test file again, in a process that can be profiled, when this one cannot. Default true. */
  rerun?: boolean;
  /** That file; default: the outermost script of the caller's stack. */
  testFile?: string;
  /** Milliseconds that the other run may take in all. Default 600,000. */
  rerunTimeout?: number;
}

/** Options with everything filled in. */
export interface CheckedLeakOptions {
  readonly name: string;
  readonly iterations: number;
  readonly warmup: number;
  readonly rounds: number;
  readonly maxIterations: number;
  readonly timeout: number;
  readonly mode: ProfileMode;
  readonly sampleInterval: number;
  readonly smallest: number;
  readonly owners: LeakOwners;
  readonly suppressions: readonly Suppression[];
  readonly rerun: boolean;
  readonly testFile: string | null;
  readonly rerunTimeout: number;
}

const known = new Set<keyof NativeLeakOptions>([
  'name',
  'iterations',
  'warmup',
  'rounds',
  'maxIterations',
  'timeout',
  'mode',
  'sampleInterval',
  'smallest',
  'owners',
  'suppressions',
  'rerun',
  'testFile',
  'rerunTimeout',
]);

function invalid(message: string): never {
  throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', message);
}

function whole(name: keyof NativeLeakOptions, value: unknown, low: number, high: number, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < low || value > high) {
    return invalid(`${name} must be a whole number from ${low} to ${high}, got ${String(value)}`);
  }
  return value;
}

function checkOwners(owners: LeakOwners | undefined): LeakOwners {
  if (owners === undefined || owners === 'addons' || owners === 'all') return owners ?? 'addons';
  if (Array.isArray(owners) && owners.every((owner) => typeof owner === 'string')) return owners;
  return invalid(`owners must be 'addons', 'all' or a list of packages, got ${String(owners)}`);
}

/** The suppressions that options name. */
export function loadSuppressions(given: NativeLeakOptions['suppressions']): Suppression[] {
  const list = given === undefined ? [] : typeof given === 'string' ? [given] : given;
  return list.flatMap((entry) => (typeof entry === 'string' ? readSuppressions(entry) : [entry]));
}

/**
 * Checks options and fills in what is missing.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT; of suppressions ERR_FORKHEAP_NO_FILES, ERR_FORKHEAP_BAD_FILE
 */
export function checkLeakOptions(options: NativeLeakOptions): CheckedLeakOptions {
  if (typeof options !== 'object' || options === null) invalid(`options must be an object, got ${String(options)}`);
  for (const name of Object.keys(options)) {
    if (!known.has(name as keyof NativeLeakOptions))
      invalid(`unknown option ${name}: the options are ${[...known].join(', ')}`);
  }
  const { name, mode = 'exact', testFile } = options;
  if (name !== undefined && (typeof name !== 'string' || name === ''))
    invalid(`name must be a text that is not empty, got ${String(name)}`);
  if (testFile !== undefined && typeof testFile !== 'string')
    invalid(`testFile must be a path, got ${String(testFile)}`);
  if (mode !== 'exact' && mode !== 'sampled') invalid(`mode must be 'exact' or 'sampled', got ${String(mode)}`);
  const most = Number.MAX_SAFE_INTEGER;
  const longest = 2 ** 31 - 1;
  const iterations = whole('iterations', options.iterations, 1, 1e9, 100);
  return {
    name: name ?? '',
    iterations,
    warmup: whole('warmup', options.warmup, 0, 1e9, 2 * iterations),
    rounds: whole('rounds', options.rounds, 4, 100, 8),
    maxIterations: whole('maxIterations', options.maxIterations, 1, most, 500 * iterations),
    timeout: whole('timeout', options.timeout, 1, longest, 60_000),
    mode,
    sampleInterval: whole('sampleInterval', options.sampleInterval, 1, longest, defaultSampleInterval),
    smallest: whole('smallest', options.smallest, 1, most, 2048),
    owners: checkOwners(options.owners),
    suppressions: loadSuppressions(options.suppressions),
    rerun: options.rerun !== false,
    testFile: testFile ?? null,
    rerunTimeout: whole('rerunTimeout', options.rerunTimeout, 1, longest, 600_000),
  };
}
