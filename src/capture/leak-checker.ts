import { setImmediate as turn } from 'node:timers/promises';
import { ForkheapError } from '../errors.js';
import { readManifest } from '../files/manifest-file.js';
import { builtinSuppressions } from '../leaks/builtin.js';
import type { LeakFinding } from '../leaks/finding.js';
import { type JudgedLeaks, judgeLeaks } from '../leaks/judge.js';
import { readSuppressions, type Suppression } from '../leaks/suppressions.js';
import { check, type NativeChecker, type NativeLeaks, native } from '../native.js';
import type { Profile } from '../profile/model.js';
import { parseHeapText } from '../profile/parse.js';
import { codeFrames } from '../symbolize/javascript.js';
import { symbolizeSync } from '../symbolize/symbolize.js';
import { collectGarbage } from './garbage.js';

/**
 * What is counted as a leak by a {@link HeapLeakChecker}.
 *
 * @since 0.1.0
 */
export interface LeakCheckerOptions {
  /** `addons`: what native code of npm packages and of the program has lost. `all`: whatever was lost. Default `addons`. */
  owners?: 'addons' | 'all';
  /** Files of suppressions, besides those that come with forkheap. */
  suppressions?: readonly string[];
}

/**
 * What a leak check has found.
 *
 * @since 0.1.0
 */
export interface LeakReport {
  /** The checker's name. */
  readonly name: string;
  readonly pid: number;
  /** Bytes of all findings. */
  readonly bytes: number;
  /** Blocks of all findings. */
  readonly objects: number;
  /** A finding for each stack that has lost something; the largest first. */
  readonly findings: readonly LeakFinding[];
  /** What suppressions have held for. */
  readonly suppressed: JudgedLeaks['suppressed'];
  /** What Node, V8 and system libraries have lost themselves: not counted. */
  readonly others: { readonly bytes: number; readonly objects: number };
  /** The report's file; null when nothing was lost, or when the process was not started by forkheap. */
  readonly path: string | null;
}

function judge(name: string, leaks: NativeLeaks, options: LeakCheckerOptions): LeakReport {
  const path = leaks.path === '' ? null : leaks.path;
  const suppressions: Suppression[] = [
    ...builtinSuppressions(),
    ...(options.suppressions ?? []).flatMap((file) => readSuppressions(file)),
  ];
  let profile: Profile = { processes: [], mappings: [], locations: [], samples: [], warnings: [] };
  if (leaks.text !== '') {
    // JavaScript functions have their names in the manifest.
    const manifest = path === null ? null : readManifest(path.replace(/\.\d+\.heap$/, '.json'));
    const code = codeFrames(manifest?.code ?? []);
    profile = parseHeapText([Buffer.from(leaks.text)], { code, process: { pid: process.pid } });
    symbolizeSync(profile);
  }
  const judged = judgeLeaks(profile, { owners: options.owners ?? 'addons', suppressions });
  return {
    name,
    pid: process.pid,
    bytes: judged.findings.reduce((sum, { bytes }) => sum + bytes, 0),
    objects: judged.findings.reduce((sum, { objects }) => sum + objects, 0),
    ...judged,
    path,
  };
}

function runCheck(checker: NativeChecker | null, name: string, options: LeakCheckerOptions): LeakReport {
  // What garbage holds is not lost, but it will be somebody's.
  collectGarbage();
  const leaks = native().checkLeaks(checker, name);
  check(leaks);
  return judge(name, leaks, options);
}

function requireOptions(options: LeakCheckerOptions): void {
  const { owners = 'addons' } = options;
  if (owners === 'addons' || owners === 'all') return;
  throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', `owners must be 'addons' or 'all', got ${String(owners)}`);
}

/**
 * gperftools' HeapLeakChecker: says what native memory was lost, that is allocated since the checker was made, not freed, and
 * pointed to by nothing. The process must have been started with its leak checker: by `forkheap check`, or with the environment
 * of `heapProfileEnv({ leakCheck: 'local' })`. Only in the main thread.
 *
 * ```js
 * using checker = new HeapLeakChecker('queries');
 * await runQueries();
 * assert.ok(checker.noLeaks(), inspect(checker.report()));
 * ```
 *
 * What gperftools answers with abort() is a {@link ForkheapError} here, and the process goes on.
 *
 * @since 0.1.0
 */
export class HeapLeakChecker {
  readonly name: string;
  readonly #options: LeakCheckerOptions;
  #checker: NativeChecker | undefined;
  #report: LeakReport | undefined;

  /**
   * @param name for the report; a file name's characters
   * @param options what is counted as a leak
   * @throws {ForkheapError} ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED (gperftools 2.17 and later), ERR_FORKHEAP_LEAK_CHECKER_INACTIVE,
   *   ERR_FORKHEAP_NOT_PRELOADED, ERR_FORKHEAP_LEAK_CHECK_OVER, ERR_FORKHEAP_INVALID_ARGUMENT
   */
  constructor(name: string, options: LeakCheckerOptions = {}) {
    if (typeof name !== 'string' || !/^[^/\0]{1,200}$/.test(name) || name === '_main_') {
      throw new ForkheapError(
        'ERR_FORKHEAP_INVALID_ARGUMENT',
        `a checker's name has 1 to 200 characters, no slash, and is not _main_, got ${String(name)}`,
      );
    }
    requireOptions(options);
    const made = native().createChecker(name);
    if ('code' in made) {
      check(made);
      throw new ForkheapError('ERR_FORKHEAP_LEAK_CHECK_FAILED', 'the leak checker could not be made');
    }
    this.name = name;
    this.#options = options;
    this.#checker = made;
  }

  /**
   * Collects garbage, makes the check, and judges it. Once for each checker.
   *
   * @returns true when nothing was lost
   * @throws {ForkheapError} ERR_FORKHEAP_ALREADY_CHECKED, ERR_FORKHEAP_NOT_MAIN_THREAD, ERR_FORKHEAP_LEAK_CHECK_FAILED (threads
   *   could not be stopped), ERR_FORKHEAP_LEAK_CHECK_OVER
   */
  noLeaks(): boolean {
    if (this.#report !== undefined || this.#checker === undefined) {
      throw new ForkheapError(
        'ERR_FORKHEAP_ALREADY_CHECKED',
        `the leak checker "${this.name}" has made its check: make another checker for another one`,
      );
    }
    this.#report = runCheck(this.#checker, this.name, this.#options);
    return this.#report.findings.length === 0;
  }

  /** gperftools' other names of {@link noLeaks}. */
  briefNoLeaks(): boolean {
    return this.noLeaks();
  }

  /** gperftools' other name of {@link noLeaks}. */
  sameHeap(): boolean {
    return this.noLeaks();
  }

  /**
   * As {@link noLeaks}, after a turn of the event loop, in which what Node has put off is freed.
   *
   * @returns what was found
   * @throws {ForkheapError} as {@link noLeaks}
   */
  async check(): Promise<LeakReport> {
    collectGarbage();
    await turn();
    this.noLeaks();
    return this.report();
  }

  /**
   * What was found.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_CHECKED before the check
   */
  report(): LeakReport {
    if (this.#report !== undefined) return this.#report;
    throw new ForkheapError(
      'ERR_FORKHEAP_NOT_CHECKED',
      `the leak checker "${this.name}" has not checked yet: call noLeaks() first`,
    );
  }

  /** Bytes lost. @throws {ForkheapError} ERR_FORKHEAP_NOT_CHECKED before the check */
  get bytesLeaked(): number {
    return this.report().bytes;
  }

  /** Blocks lost. @throws {ForkheapError} ERR_FORKHEAP_NOT_CHECKED before the check */
  get objectsLeaked(): number {
    return this.report().objects;
  }

  /**
   * Ends the checker.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_CHECKED when it has made no check: a checker that nobody asks tests nothing. It is
   *   ended all the same.
   */
  [Symbol.dispose](): void {
    if (this.#checker === undefined) return;
    native().destroyChecker(this.#checker);
    this.#checker = undefined;
    this.report();
  }

  /** Whether gperftools' leak checker watches this process. */
  static isActive(): boolean {
    return native().requireChecker().code === null;
  }

  /**
   * Makes the check of the whole program, as at its end; as often as wanted. In mode `local` there is none: true.
   *
   * @returns true when nothing was lost
   * @throws {ForkheapError} as {@link noLeaks}, and as the constructor
   */
  static noGlobalLeaks(options: LeakCheckerOptions = {}): boolean {
    return HeapLeakChecker.globalReport(options).findings.length === 0;
  }

  /** As {@link noGlobalLeaks}, but returns what was found. */
  static globalReport(options: LeakCheckerOptions = {}): LeakReport {
    requireOptions(options);
    return runCheck(null, 'whole program, so far', options);
  }

  /**
   * Leaves out the check at this process's end. `forkheap check` cannot tell then whether the process has leaked.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED, ERR_FORKHEAP_LEAK_CHECKER_INACTIVE
   */
  static cancelGlobalCheck(): void {
    check(native().requireChecker());
    native().cancelLastCheck();
  }

  /**
   * What this thread allocates until the disabler is disposed of is not counted, nor what that points to. For code without
   * `await`: what runs in between is not counted either.
   *
   * ```js
   * { using disabler = HeapLeakChecker.disabler(); addon.init(); }
   * ```
   */
  static disabler(): Disposable {
    let on = true;
    native().disableChecks(true);
    return {
      [Symbol.dispose](): void {
        if (on) native().disableChecks(false);
        on = false;
      },
    };
  }

  /**
   * A native block that is never counted, nor what it points to.
   *
   * @param pointer its address, as an addon hands it over: a number, a bigint, or a Node-API external
   * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT when it is no address of malloc's, or is being ignored already;
   *   ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED, ERR_FORKHEAP_LEAK_CHECKER_INACTIVE
   */
  static ignoreObject(pointer: unknown): void {
    check(native().ignoreObject(pointer, true));
  }

  /**
   * Takes {@link ignoreObject} back.
   *
   * @throws {ForkheapError} ERR_FORKHEAP_NOT_IGNORED
   */
  static unIgnoreObject(pointer: unknown): void {
    check(native().ignoreObject(pointer, false));
  }
}
