import { check, native } from '../native.js';
import { chooseChildren } from './children.js';
import { type Environment, leaveEnvironment, profileVariables, withProfile } from './environment.js';
import type { ProfileMode } from './manifest.js';
import { type HeapProfileOptions, nativeOptions } from './options.js';

/**
 * A running heap profile of this process. There is one per process: worker threads share it.
 *
 * @since 0.1.0
 */
export class HeapProfile {
  /** The process that is profiled. */
  readonly pid: number = process.pid;
  /** Path that the names of this process's files begin with: `<prefix>_<pid>`. */
  readonly prefix: string;
  /** @internal */
  constructor() {
    this.prefix = native().state().base;
  }

  /** How allocations are counted now: with `maxOverhead` it may change from `exact` to `sampled`. */
  get mode(): ProfileMode {
    return native().state().sampled ? 'sampled' : 'exact';
  }

  /** Mean bytes between samples now; 0 in exact mode. */
  get sampleInterval(): number {
    const { sampled, sampleInterval } = native().state();
    return sampled ? sampleInterval : 0;
  }

  /**
   * Writes the profile as it is now to the next `<prefix>_<pid>.NNNN.heap`. Threads that allocate do not wait for it in exact mode.
   *
   * @param reason free text, for messages
   * @returns the file's path
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING; ERR_FORKHEAP_DUMP_FAILED when the file cannot be written (earlier ones stay whole)
   */
  dump(reason = 'dump()'): string {
    return check(native().dump(String(reason))).path;
  }

  /**
   * The profile as it is now, in gperftools' text format.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING, ERR_FORKHEAP_DUMP_FAILED
   */
  text(): string {
    const result = native().text();
    if (typeof result === 'string') return result;
    check(result);
    return '';
  }

  /**
   * Changes the mean bytes between samples of a sampled profile. The calling thread takes it up at once, others with their next
   * sample, or after 16 MiB where sampling was off. What was sampled before is read with its own interval.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING when no sampled profile runs
   */
  setSampleInterval(bytes: number): void {
    const { sampleInterval } = nativeOptions({ sampleInterval: bytes });
    check(native().setSampleInterval(sampleInterval));
  }

  /**
   * Writes a last dump and stops the profile. When the dump fails the profile goes on.
   *
   * @returns the last dump's path
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_RUNNING, ERR_FORKHEAP_DUMP_FAILED
   */
  stop(): string {
    const { path } = check(native().stop());
    chooseChildren({}, undefined);
    native().followChildren([]);
    // Children start as if forkheap were not there; this process can start again.
    leaveEnvironment();
    return path;
  }

  /** What `JSON.stringify()` and loggers show. */
  toJSON(): { pid: number; prefix: string; mode: ProfileMode; sampleInterval: number } {
    const { pid, prefix, mode, sampleInterval } = this;
    return { pid, prefix, mode, sampleInterval };
  }

  /** Stops the profile if it still runs: `using profile = startHeapProfile()`. */
  [Symbol.dispose](): void {
    if (native().state().running) this.stop();
  }
}

/**
 * Starts profiling the native heap of this process and, unless told otherwise, of the children that it starts from now on.
 * The process must have been started with forkheap's preload library: by `forkheap run`, or with `heapProfileEnv({ autoStart: false })`.
 *
 * @param options see {@link HeapProfileOptions}
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_PRELOADED, ERR_FORKHEAP_ALREADY_RUNNING, ERR_FORKHEAP_INVALID_ARGUMENT,
 *   ERR_FORKHEAP_INVALID_PREFIX, ERR_FORKHEAP_PREFIX_NOT_WRITABLE, ERR_FORKHEAP_PREFIX_IN_USE, ERR_FORKHEAP_NO_TCMALLOC,
 *   ERR_FORKHEAP_NOT_BUILT, ERR_FORKHEAP_UNSUPPORTED_PLATFORM
 * @since 0.1.0, on Linux x86-64 with the GNU C library
 */
export function startHeapProfile(options: HeapProfileOptions = {}): HeapProfile {
  const checked = nativeOptions(options);
  check(native().start(checked));
  const children = options.children ?? 'all';
  const variables = profileVariables(checked, children !== 'none', true);
  const env = withProfile(process.env, variables);
  leaveEnvironment();
  if (children === 'all') {
    for (const [name, value] of Object.entries(env)) if (value !== process.env[name]) process.env[name] = value;
    native().followChildren(entriesOf(env));
  } else {
    native().followChildren([]);
  }
  chooseChildren(variables, typeof children === 'function' ? children : undefined);
  return new HeapProfile();
}

/** forkheap's own variables, as `NAME=VALUE`. */
function entriesOf(env: Environment): string[] {
  return Object.entries(env).flatMap(([name, value]) =>
    name.startsWith('FORKHEAP_') && name !== 'FORKHEAP_PARENT' ? [`${name}=${value}`] : [],
  );
}
