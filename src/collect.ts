import { dirname } from 'node:path';
import { type DumpAnswers, requestDumps } from './capture/collect.js';
import { ForkheapError } from './errors.js';
import { findProcesses } from './files/find.js';
import { readLatest, withManifests } from './files/read.js';
import { native } from './native.js';
import type { Profile } from './profile/model.js';
import { symbolize } from './symbolize/symbolize.js';

/** What {@link collectHeapProfiles} resolves to. */
export interface CollectedProfiles extends DumpAnswers {
  /** The dumps of all processes that answered, merged; `profile.processes` tells them apart. Null when none answered. */
  profile: Profile | null;
}

/**
 * Asks every process of the tree that this process belongs to for a dump, this one included, also forked children that run no
 * JavaScript (they answer at their next allocation), and merges what they wrote.
 *
 * @param options `timeout`: milliseconds to wait for the answers (default 5000); `symbolize`: name the functions (default true)
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT, ERR_FORKHEAP_NOT_RUNNING when no profile runs in this process, and those
 *   of reading dumps
 * @since 0.1.0
 */
export async function collectHeapProfiles(
  options: { timeout?: number; symbolize?: boolean } = {},
): Promise<CollectedProfiles> {
  for (const name of Object.keys(options)) {
    if (name === 'timeout' || name === 'symbolize') continue;
    const message = `unknown option ${name}: the options are timeout, symbolize; the tree is the one of this process`;
    throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', message);
  }
  const state = native().state();
  if (!state.running || state.control === '') {
    throw new ForkheapError(
      'ERR_FORKHEAP_NOT_RUNNING',
      'no heap profile is running in this process: start one first, or collect with `forkheap dump PREFIX`',
    );
  }
  const answers = await requestDumps(state.control, options.timeout);
  // The control file lies beside the files or above their folders.
  const found = withManifests(findProcesses([dirname(state.control)]));
  const processes = found.filter(({ files, manifest }) => answers.answered.includes(manifest?.pid ?? files.pid));
  if (processes.length === 0) return { ...answers, profile: null };
  const profile = readLatest(processes);
  if (options.symbolize !== false) await symbolize(profile);
  return { ...answers, profile };
}
