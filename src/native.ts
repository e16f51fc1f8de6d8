import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ForkheapError, type ForkheapErrorCode } from './errors.js';
import { howToRestore, nativeParts } from './native-parts.js';
import { requireSupportedPlatform } from './platform.js';

/** What the native calls answer: `code` is null on success. */
export interface NativeStatus {
  code: ForkheapErrorCode | null;
  message: string;
  errno: number;
  /** The dump written, where one was. */
  path: string;
}

export interface NativeStartOptions {
  prefix: string;
  sampled: boolean;
  sampleInterval: number;
  /** 0: no limit. */
  maxOverhead: number;
  dumpAllocated: number;
  dumpInuse: number;
  dumpEveryMs: number;
  dumpSignal: number;
  rolling: boolean;
  maxDumps: number;
  maxBytes: number;
  maxTreeDumps: number;
  maxTreeBytes: number;
  /** The tree's control file; empty: none. */
  control: string;
  /** Leaves no files, and is not taken over by forked children. */
  quiet?: boolean;
}

/** What a leak check answers; `path` is its report, where it left one. */
export interface NativeLeaks extends NativeStatus {
  bytes: number;
  objects: number;
  /** What was lost, in gperftools' text format; empty when nothing was. */
  text: string;
}

/** A native HeapLeakChecker. */
export type NativeChecker = { readonly nativeChecker: unique symbol };

export interface NativeState {
  preloaded: boolean;
  /** Leak checks of this process leave reports. */
  checking: boolean;
  running: boolean;
  sampled: boolean;
  sampleInterval: number;
  stacks: number;
  truncatedStacks: number;
  /** `<prefix>_<pid>` while a profile runs. */
  base: string;
  /** The tree's control file; empty when there is none. */
  control: string;
}

/** What native/addon/addon.cc exports. */
export interface NativeBinding {
  start(options: NativeStartOptions): NativeStatus;
  stop(): NativeStatus;
  dump(reason: string): NativeStatus;
  text(): string | NativeStatus;
  setSampleInterval(bytes: number): NativeStatus;
  state(): NativeState;
  /** Names this thread's JavaScript functions in stacks from now on; false when that cannot be done. */
  watchJavaScript(): boolean;
  /** `NAME=VALUE` entries that children with an environment of their own get too; none: children are left alone. */
  followChildren(entries: readonly string[]): void;
  /** The JavaScript functions and places that stacks hold: the manifest's `code`, as JSON. */
  javaScriptCode(): string;
  /** This thread's turn to check for leaks; false while another thread has it. It ends with the thread. */
  claimCheck(): boolean;
  releaseCheck(): void;
  /** Asks every process that has this control file for a dump; the request's number, or null when there is no such file. */
  askForDumps(control: string): number | null;
  /** The processes that were there when the request was made. */
  dumpAnswers(control: string, request: number): { pid: number; answered: boolean; failed: boolean }[];
  /** Why no leak check can be made here. */
  requireChecker(): NativeStatus;
  createChecker(name: string): NativeChecker | NativeStatus;
  /** `checker` null: of the whole program. */
  checkLeaks(checker: NativeChecker | null, name: string): NativeLeaks;
  destroyChecker(checker: NativeChecker): void;
  /** The last dump of this process, before its JavaScript engine ends. Does nothing in worker threads, and where no profile runs. */
  programEnds(exitCode: number): void;
  /** The last check of this process, unless that is made after destructors. */
  finishChecks(): NativeStatus;
  cancelLastCheck(): void;
  /** What the calling thread allocates is not lost, until it is enabled again; calls nest. */
  disableChecks(disable: boolean): void;
  /** An address, or an external. */
  ignoreObject(pointer: unknown, ignore: boolean): NativeStatus;
  tcmallocVersion(): string;
}

let binding: NativeBinding | undefined;

/**
 * Loads forkheap.node, once.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_UNSUPPORTED_PLATFORM, ERR_FORKHEAP_NOT_BUILT, ERR_FORKHEAP_NO_TCMALLOC
 */
export function native(): NativeBinding {
  if (binding !== undefined) return binding;
  requireSupportedPlatform();
  const file = join(nativeParts(), 'forkheap.node');
  if (!existsSync(file)) {
    throw new ForkheapError(
      'ERR_FORKHEAP_NOT_BUILT',
      `forkheap's native addon is not there (${file} is missing): ${howToRestore()}`,
      { path: file },
    );
  }
  try {
    binding = createRequire(file)(file) as NativeBinding;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (reason.includes('libtcmalloc_and_profiler')) {
      throw new ForkheapError(
        'ERR_FORKHEAP_NO_TCMALLOC',
        'libtcmalloc_and_profiler.so.4 is not installed: install gperftools (Debian, Ubuntu: `sudo apt-get install libgoogle-perftools4`)',
        { cause },
      );
    }
    throw new ForkheapError('ERR_FORKHEAP_NOT_BUILT', `forkheap's native addon cannot be loaded: ${reason}`, {
      path: file,
      cause,
    });
  }
  return binding;
}

/** Turns a native failure into the error that callers get; returns the status otherwise. */
export function check(status: NativeStatus): NativeStatus {
  if (status.code !== null) {
    throw new ForkheapError(status.code, status.message, status.path === '' ? {} : { path: status.path });
  }
  return status;
}
