import { closeSync, openSync, type Stats, statSync, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { ForkheapError } from '../errors.js';
import type { NativeStartOptions } from '../native.js';
import type { ProfileMode } from './manifest.js';

/** Decides by its command line whether a child is profiled: `command[0]` is the file, the rest its arguments. */
export type ChildFilter = (command: readonly string[]) => boolean;

/** Options of {@link startHeapProfile} and {@link heapProfileEnv}. */
export interface HeapProfileOptions {
  /**
   * Where the files go: dumps are `<prefix>_<pid>.NNNN.heap`. `%p` is filled in with the process's pid, `%h` with the host's
   * name, `%e` with the program's; folders named with one of them are made. Default `forkheap` in the current folder.
   */
  prefix?: string;
  /** `exact` counts every allocation; `sampled` one per `sampleInterval` bytes, for next to no cost. Default `exact`. */
  mode?: ProfileMode;
  /** Mean bytes between samples, 1 to 2^31 - 1. Default 524,288. */
  sampleInterval?: number;
  /**
   * What forkheap may cost, as a share of the program's own CPU time, above 0 and up to 1; 0.05 is 5 %. It measures itself, and
   * goes from exact to sampled, and on to wider intervals, to stay below. Default: no limit.
   */
  maxOverhead?: number;
  /**
   * Which children are profiled too: all (default), none (their environment is as if forkheap were not there), or those that
   * the function chooses.
   */
  children?: 'all' | 'none' | ChildFilter;
  /**
   * Name the JavaScript functions in native stacks. It costs a few per cent of start-up time and some memory per function. It
   * takes effect where a process starts: in the children, and with `forkheap run` and `heapProfileEnv()`. Default true.
   */
  javascript?: boolean;
  /** Dump whenever so many bytes more have been allocated. Default 0: never. */
  dumpAllocated?: number;
  /** Dump whenever the bytes in use have grown by so many above their highest so far. Default 0: never. */
  dumpInuse?: number;
  /** Dump every so many milliseconds. Default 0: never. */
  dumpEvery?: number;
  /** Dump at this signal, for instance `SIGUSR2`. A listener of the program for it goes first. Default none. */
  dumpSignal?: NodeJS.Signals;
  /** Automatic dumps replace the one before, atomically, instead of adding a file. Default false. */
  rolling?: boolean;
  /** Dumps to keep per process; the oldest go first, but never the first one and the latest. Default 0: all. */
  maxDumps?: number;
  /** Bytes of dumps to keep per process, likewise. Default 0: no limit. */
  maxBytes?: number;
  /**
   * Dumps to keep in the whole tree of processes, as far as they lie in one folder. The latest of living processes always stay.
   * Default 0: all.
   */
  maxTreeDumps?: number;
  /** Bytes of dumps to keep in the whole tree, likewise. Default 0: no limit. */
  maxTreeBytes?: number;
}

/** Options after {@link nativeOptions}. */
export interface CheckedOptions extends NativeStartOptions {
  javascript: boolean;
}

export const defaultSampleInterval = 524_288;
export const defaultPrefix = 'forkheap';

/** Longest prefix that leaves room for what is added to it (PATH_MAX less 64), in bytes of UTF-8. */
const maxPrefix = 4096 - 64 - 1;

function invalid(message: string): never {
  throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', message);
}

/**
 * @returns the absolute prefix
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_PREFIX
 */
export function resolvePrefix(prefix: unknown): string {
  const fail = (message: string): never => {
    throw new ForkheapError('ERR_FORKHEAP_INVALID_PREFIX', message);
  };
  if (typeof prefix !== 'string') return fail(`prefix must be a string, got ${typeof prefix}`);
  if (prefix === '') return fail('prefix is empty: give the start of a file name, for instance /tmp/profiles/app');
  if (prefix.includes('\0')) return fail('prefix has a NUL character in it: file names cannot');
  const absolute = isAbsolute(prefix) ? prefix : resolve(prefix);
  // resolve() drops the trailing slash that says "a name in this folder is missing".
  if (prefix.endsWith('/'))
    return fail(`prefix ${prefix} ends in a folder: add the start of a file name, for instance ${prefix}app`);
  const length = Buffer.byteLength(absolute);
  if (length > maxPrefix) return fail(`prefix is ${length} bytes long: at most ${maxPrefix} can be used`);
  const name = absolute.slice(absolute.lastIndexOf('/') + 1);
  if (Buffer.byteLength(name) > 200)
    return fail(`the file name in prefix is ${Buffer.byteLength(name)} bytes long: at most 200 can be used`);
  return absolute;
}

/** The control file of the trees with this absolute prefix: beside the files, or above the folders that have a placeholder. */
export function controlFile(prefix: string): string {
  const fixed = prefix.split('%', 1)[0] ?? '';
  return fixed === prefix ? `${prefix}.control` : `${fixed.slice(0, fixed.lastIndexOf('/') + 1)}forkheap.control`;
}

function bytes(name: string, value: unknown, low: number, high: number, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < low || value > high) {
    return invalid(`${name} must be a whole number from ${low} to ${high}, got ${String(value)}`);
  }
  return value;
}

function share(name: string, value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === 'number' && value > 0 && value <= 1) return value;
  return invalid(`${name} must be a number above 0 and up to 1, for instance 0.05 for 5 %, got ${String(value)}`);
}

const known = new Set<string>([
  'prefix',
  'mode',
  'sampleInterval',
  'maxOverhead',
  'children',
  'dumpAllocated',
  'dumpInuse',
  'dumpEvery',
  'dumpSignal',
  'rolling',
  'maxDumps',
  'maxBytes',
  'maxTreeDumps',
  'maxTreeBytes',
  'javascript',
  'autoStart',
]);

/**
 * Checks options and fills in what is missing.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT, ERR_FORKHEAP_INVALID_PREFIX
 */
export function nativeOptions(options: HeapProfileOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null) invalid(`options must be an object, got ${String(options)}`);
  for (const name of Object.keys(options)) {
    if (!known.has(name)) invalid(`unknown option ${name}: the options are ${[...known].join(', ')}`);
  }
  const mode = options.mode ?? 'exact';
  if (mode !== 'exact' && mode !== 'sampled') invalid(`mode must be 'exact' or 'sampled', got ${String(mode)}`);
  const { children } = options;
  if (children !== undefined && children !== 'all' && children !== 'none' && typeof children !== 'function') {
    invalid(`children must be 'all', 'none' or a function, got ${String(children)}`);
  }
  const { dumpSignal } = options;
  const signal = dumpSignal === undefined ? 0 : constants.signals[dumpSignal];
  if (signal === undefined)
    invalid(`dumpSignal ${String(dumpSignal)} is not a signal's name: use for instance 'SIGUSR2'`);
  if (dumpSignal === 'SIGKILL' || dumpSignal === 'SIGSTOP')
    invalid(`dumpSignal ${dumpSignal} cannot be caught: use for instance 'SIGUSR2'`);
  const most = Number.MAX_SAFE_INTEGER;
  const prefix = resolvePrefix(options.prefix ?? defaultPrefix);
  return {
    prefix,
    sampled: mode === 'sampled',
    sampleInterval: bytes('sampleInterval', options.sampleInterval, 1, 2 ** 31 - 1, defaultSampleInterval),
    maxOverhead: share('maxOverhead', options.maxOverhead),
    dumpAllocated: bytes('dumpAllocated', options.dumpAllocated, 0, most, 0),
    dumpInuse: bytes('dumpInuse', options.dumpInuse, 0, most, 0),
    dumpEveryMs: bytes('dumpEvery', options.dumpEvery, 0, 2 ** 31 - 1, 0),
    dumpSignal: signal,
    javascript: options.javascript !== false,
    rolling: options.rolling === true,
    maxDumps: bytes('maxDumps', options.maxDumps, 0, 2 ** 31 - 1, 0),
    maxBytes: bytes('maxBytes', options.maxBytes, 0, most, 0),
    maxTreeDumps: bytes('maxTreeDumps', options.maxTreeDumps, 0, 2 ** 31 - 1, 0),
    control: controlFile(prefix),
    maxTreeBytes: bytes('maxTreeBytes', options.maxTreeBytes, 0, most, 0),
  };
}

/** Undefined when there is nothing that we may look at. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/**
 * Checks that files can be made under an absolute prefix.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_PREFIX_NOT_WRITABLE
 */
export function requireWritable(prefix: string): void {
  // Folders named with a placeholder are made when they are needed.
  const fixed = prefix.split('%', 1)[0] ?? '';
  const folder = fixed.slice(0, Math.max(fixed.lastIndexOf('/'), 1));
  const info = lookAt(folder);
  const fail = (what: string): never => {
    throw new ForkheapError('ERR_FORKHEAP_PREFIX_NOT_WRITABLE', what, { path: folder });
  };
  if (info === undefined) fail(`the folder ${folder} does not exist: make it, or give another prefix`);
  if (info?.isDirectory() !== true) fail(`${folder} is not a folder: give another prefix`);
  // Permissions do not tell all (root, read-only file systems, /proc): making a file does.
  const probe = join(folder, `.forkheap-${process.pid}`);
  try {
    closeSync(openSync(probe, 'wx', 0o600));
    unlinkSync(probe);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    fail(`no file can be made in the folder ${folder} (${code}): give another prefix`);
  }
}
