import { InvalidArgumentError } from 'commander';
import { ForkheapError } from '../errors.js';
import { findProcesses } from '../files/find.js';
import { type FoundProcess, withManifests } from '../files/read.js';

/** Parses a count: 0, 1, 2 … */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give a whole number, 0 or more.');
  return Number(text);
}

/** Parses one of several pids. */
export function parsePid(text: string, before: number[] | undefined): number[] {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('Give the number of a process.');
  return [...(before ?? []), Number(text)];
}

/**
 * The processes whose files lie at `paths`.
 *
 * @throws ForkheapError ERR_FORKHEAP_NO_FILES, ERR_FORKHEAP_BAD_FILE.
 */
export function processesAt(paths: readonly string[]): FoundProcess[] {
  const found = withManifests(findProcesses(paths));
  if (found.length === 0) {
    throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `Found no heap profiles at ${paths.join(', ')}.`);
  }
  return found;
}
