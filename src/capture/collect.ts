import { setTimeout as delay } from 'node:timers/promises';
import { ForkheapError } from '../errors.js';
import { native } from '../native.js';
import { isAlive } from './alive.js';

/** What came of a request for dumps. */
export interface DumpAnswers {
  /** Pids of the processes that have written a dump since. */
  answered: number[];
  /** Pids of those that could not write one. */
  failed: number[];
  /** Pids of those that have not answered in time; a forked child answers at its next allocation. */
  silent: number[];
}

/** Default of {@link requestDumps}, in milliseconds. */
export const defaultPatience = 5000;

/**
 * Asks every process of a tree for a dump and waits until all have answered or ended, or until the time is up.
 *
 * @param control the tree's control file
 * @param timeout in milliseconds
 * @throws {ForkheapError} ERR_FORKHEAP_NO_FILES when no tree has that control file
 */
export async function requestDumps(control: string, timeout: number = defaultPatience): Promise<DumpAnswers> {
  const request = native().askForDumps(control);
  if (request === null) {
    throw new ForkheapError(
      'ERR_FORKHEAP_NO_FILES',
      `no control file ${control}: give the prefix of a tree that this version of forkheap run has started; one that forkheap check watches makes no dumps`,
      { path: control },
    );
  }
  const deadline = performance.now() + timeout;
  for (;;) {
    const answers = native()
      .dumpAnswers(control, request)
      .filter(({ pid }) => isAlive(pid));
    const waiting = answers.filter(({ answered }) => !answered);
    if (waiting.length === 0 || performance.now() >= deadline) {
      const pids = (wanted: typeof answers): number[] => wanted.map(({ pid }) => pid);
      return {
        answered: pids(answers.filter(({ answered, failed }) => answered && !failed)),
        failed: pids(answers.filter(({ answered, failed }) => answered && failed)),
        silent: pids(waiting),
      };
    }
    await delay(5);
  }
}
