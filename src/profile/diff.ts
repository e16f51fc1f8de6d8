import { mergeProfiles } from './merge.js';
import type { Profile, Sample, Values } from './model.js';

// What sums of estimates leave of a difference that is none.
const NOTHING = 1e-6;

const isNothing = (values: Values): boolean =>
  Math.abs(values.inuseObjects) < NOTHING &&
  Math.abs(values.inuseSpace) < NOTHING &&
  Math.abs(values.allocObjects) < NOTHING &&
  Math.abs(values.allocSpace) < NOTHING;

function negated(profile: Profile): Profile {
  const samples = profile.samples.map(
    (sample): Sample => ({
      ...sample,
      inuseObjects: -sample.inuseObjects,
      inuseSpace: -sample.inuseSpace,
      allocObjects: -sample.allocObjects,
      allocSpace: -sample.allocSpace,
    }),
  );
  return { ...profile, samples };
}

/**
 * What `profile` has more than `base`, with negative values where it has less. Two dumps of one process subtract stack by
 * stack. Of different processes each keeps its own samples, `base`'s negative: rows and stacks of a report add them up.
 *
 * @since 0.1.0
 */
export function diffProfiles(base: Profile, profile: Profile): Profile {
  const merged = mergeProfiles([profile, negated(base)]);
  return { ...merged, samples: merged.samples.filter((sample) => !isNothing(sample)) };
}
