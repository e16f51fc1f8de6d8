// The functions of gperftools/heap-profiler.h, by their names there. They act on the same one profile as HeapProfile.
import { native } from '../native.js';
import { HeapProfile, startHeapProfile } from './heap-profile.js';

/**
 * HeapProfilerStart: starts an exact profile. Other than in gperftools a second start is an error, and the files carry the pid.
 *
 * @param prefix see {@link HeapProfileOptions.prefix}
 * @throws {ForkheapError} as {@link startHeapProfile}
 * @since 0.1.0
 */
export function heapProfilerStart(prefix: string): void {
  startHeapProfile({ prefix });
}

/**
 * HeapProfilerDump: writes the next dump.
 *
 * @returns its path, which gperftools does not tell
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING, ERR_FORKHEAP_DUMP_FAILED
 * @since 0.1.0
 */
export function heapProfilerDump(reason: string): string {
  return new HeapProfile().dump(reason);
}

/**
 * HeapProfilerStop: writes a last dump and stops.
 *
 * @returns the last dump's path
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING, ERR_FORKHEAP_DUMP_FAILED
 * @since 0.1.0
 */
export function heapProfilerStop(): string {
  return new HeapProfile().stop();
}

/**
 * IsHeapProfilerRunning. False in a process that was not preloaded.
 *
 * @since 0.1.0
 */
export function isHeapProfilerRunning(): boolean {
  return native().state().running;
}

/**
 * GetHeapProfile: the profile in gperftools' text format, whole also on versions that cut it at 1 MiB.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING, ERR_FORKHEAP_DUMP_FAILED
 * @since 0.1.0
 */
export function getHeapProfile(): string {
  return new HeapProfile().text();
}
