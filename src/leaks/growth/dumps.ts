import { ForkheapError } from '../../errors.js';
import type { Profile } from '../../profile/model.js';
import { type LeakOwners, loadSuppressions, type NativeLeakOptions } from './options.js';
import type { GrowthFinding } from './verdict.js';
import { GrowthWatch } from './watch.js';

/** What {@link findNativeGrowth} resolves to; the fields are those of {@link NativeLeakVerdict}. */
export interface NativeGrowth {
  readonly leaks: boolean | 'unknown';
  readonly findings: readonly GrowthFinding[];
  readonly suspects: readonly GrowthFinding[];
  readonly suppressed: readonly GrowthFinding[];
}

/** Four rounds in each half. */
const FEWEST = 9;

/**
 * Judges a row of dumps of one process as {@link checkNativeLeaks} judges its rounds: for processes that run no JavaScript, such
 * as those made by fork(2), and for dumps of a service. Equal work has to lie between the dumps.
 *
 * @param profiles of one process, oldest first, at least 9: `readProfile(path, { dump: number })` each
 * @param options `iterations`: units of work between two dumps (default 1); `owners`, `suppressions`: see {@link NativeLeakOptions}
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT when there are too few, or of several processes; those of suppressions
 * @since 0.1.0
 */
export async function findNativeGrowth(
  profiles: readonly Profile[],
  options: { iterations?: number; owners?: LeakOwners; suppressions?: NativeLeakOptions['suppressions'] } = {},
): Promise<NativeGrowth> {
  const processes = new Set(profiles.flatMap((profile) => profile.processes.map((process) => process.id)));
  if (profiles.length < FEWEST || processes.size !== 1) {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_ARGUMENT',
      `growth shows in ${FEWEST} dumps or more of one process; there are ${profiles.length}, of ${processes.size}`,
    );
  }
  const { iterations = 1, owners = 'addons' } = options;
  const watch = new GrowthWatch(owners, loadSuppressions(options.suppressions));
  const middle = profiles.length >> 1;
  for (const [i, profile] of profiles.entries()) {
    watch.add(profile, i * iterations);
    if (i === middle) await watch.judge(0);
  }
  const { leaking, open, suppressed } = await watch.judge(middle);
  const leaks = leaking.length > 0 ? true : open.length > 0 ? 'unknown' : false;
  return { leaks, findings: leaking, suspects: open, suppressed };
}
