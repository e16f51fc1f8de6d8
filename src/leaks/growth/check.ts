import { ForkheapError } from '../../errors.js';
import { native } from '../../native.js';
import { callSite } from '../rerun/call-site.js';
import { checkKey, isRerun, report, verdictOfRerun } from '../rerun/rerun.js';
import { type Checked, measure } from './measure.js';
import { checkLeakOptions, type NativeLeakOptions } from './options.js';
import { verdictText } from './report.js';
import type { NativeLeakVerdict } from './verdict.js';

/**
 * Thrown by {@link assertNoNativeLeaks}: `code` is ERR_FORKHEAP_LEAKS when there are leaks, ERR_FORKHEAP_LEAKS_UNKNOWN when more
 * calls are needed to tell.
 *
 * @since 0.1.0
 */
export class NativeLeakError extends ForkheapError {
  readonly verdict: NativeLeakVerdict;

  /** @internal */
  constructor(verdict: NativeLeakVerdict) {
    super(verdict.leaks === true ? 'ERR_FORKHEAP_LEAKS' : 'ERR_FORKHEAP_LEAKS_UNKNOWN', verdictText(verdict));
    this.verdict = verdict;
  }
}

async function checkAt(fn: Checked, options: NativeLeakOptions): Promise<NativeLeakVerdict> {
  // Before anything is awaited: the caller is on the stack.
  const { file, place } = callSite();
  if (typeof fn !== 'function') {
    throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', `fn must be a function, got ${typeof fn}`);
  }
  const checked = checkLeakOptions(options);
  const key = checkKey(place, checked.name);
  const named = { ...checked, name: checked.name || place };
  if (native().state().preloaded) {
    const verdict = await measure(fn, named);
    report(key, verdict);
    return verdict;
  }
  if (!checked.rerun || isRerun()) {
    const why = isRerun()
      ? 'although it was run again for this check: something takes LD_PRELOAD away'
      : 'and rerun is false';
    throw new ForkheapError(
      'ERR_FORKHEAP_NOT_PRELOADED',
      `this process was not started with forkheap, ${why}. Start it with \`forkheap run -- COMMAND\`, or with the environment that heapProfileEnv({ autoStart: false }) returns`,
    );
  }
  return verdictOfRerun(checked.testFile ?? file, key, checked.rerunTimeout);
}

/**
 * Decides whether a function loses native memory at every call, by calling it: first to warm up, then in rounds, with garbage
 * collection and turns of the event loop between them. A stack of an addon that holds more after each round, in a series and in
 * a second one of twice as many calls, leaks; caches that fill, buffers that double and what comes and goes do not.
 *
 * The process has to be preloaded (`forkheap run`, `heapProfileEnv()`). Where it is not, the test file is run again in a
 * process that is, once for all its checks; the function is then called there, and the verdict comes back. A profile that runs is
 * only read; where none runs, one is made for the check, which leaves no files. Checks of one process take turns.
 *
 * @param fn what to check; it gets the number of calls before this one. A promise is awaited.
 * @param options see {@link NativeLeakOptions}
 * @returns the verdict; `leaks` may be `unknown`
 * @throws what `fn` throws; {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT, ERR_FORKHEAP_NOT_PRELOADED, ERR_FORKHEAP_RERUN_FAILED,
 *   ERR_FORKHEAP_ALREADY_RUNNING (a check inside a check), and those of {@link startHeapProfile} and of suppressions
 * @since 0.1.0, on Linux x86-64 with the GNU C library, with every version of gperftools
 */
export async function checkNativeLeaks(fn: Checked, options: NativeLeakOptions = {}): Promise<NativeLeakVerdict> {
  return checkAt(fn, options);
}

/**
 * {@link checkNativeLeaks} for tests.
 *
 * @returns the verdict, which is that there are no leaks
 * @throws {NativeLeakError} ERR_FORKHEAP_LEAKS, with a report; ERR_FORKHEAP_LEAKS_UNKNOWN when it cannot be told. And what
 *   `checkNativeLeaks` throws.
 * @since 0.1.0, on Linux x86-64 with the GNU C library, with every version of gperftools
 */
export async function assertNoNativeLeaks(fn: Checked, options: NativeLeakOptions = {}): Promise<NativeLeakVerdict> {
  const verdict = await checkAt(fn, options);
  if (verdict.leaks !== false) throw new NativeLeakError(verdict);
  return verdict;
}
