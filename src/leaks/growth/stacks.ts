import { isCodeAddress } from '../../profile/code-address.js';
import type { Location, Mapping, Profile, Sample } from '../../profile/model.js';
import { unsampleScale } from '../../profile/unsample.js';
import { ownerOfFile } from '../../symbolize/owner.js';

/** What one stack holds. */
export interface Held {
  bytes: number;
  objects: number;
  /** Live samples of a sampled profile; of an exact one the objects. */
  samples: number;
  /** Its sample that holds most: the way to it through JavaScript may differ. */
  sample: Sample;
}

type Kind = 'addon' | 'own' | 'other';

const kinds = new WeakMap<Mapping, Kind>();

function kindOf(mapping: Mapping): Kind {
  let kind = kinds.get(mapping);
  if (kind === undefined) {
    kind = ownerOfFile(mapping.file).asks ? 'addon' : 'other';
    if (mapping.file.endsWith('/forkheap.node')) kind = 'own';
    kinds.set(mapping, kind);
  }
  return kind;
}

/**
 * What tells a sample's stack from others: the addresses from the allocation up to the addon's last one below JavaScript.
 * The engine compiles and inlines functions while they run, so what lies above changes from round to round.
 *
 * @returns null when no addon is on it, and, with `all`, when it is forkheap's own.
 */
export function stackKey({ locations }: Sample, all: boolean): string | null {
  let last = -1;
  let end = locations.length;
  for (const [i, { address, mapping }] of locations.entries()) {
    if (mapping === null) {
      if (!isCodeAddress(address)) continue;
      end = i;
      break;
    }
    const kind = kindOf(mapping);
    if (kind === 'own') return null;
    if (kind === 'addon') last = i;
  }
  if (last < 0) {
    if (!all) return null;
    last = end - 1;
  }
  return locations
    .slice(0, last + 1)
    .map(({ address }: Location) => address.toString(36))
    .join(' ');
}

/** How many samples a sampled profile's values are the estimate of. */
function samplesOf({ inuseObjects, inuseSpace, process: { sampleInterval } }: Sample): number {
  if (sampleInterval <= 1 || inuseObjects === 0) return inuseObjects;
  // The average size is the same before and after unsampling.
  return inuseObjects / unsampleScale(1, inuseSpace / inuseObjects, sampleInterval);
}

/** What each stack of a profile of one process holds. `all`: also stacks without an addon. */
export function heldByStack(profile: Profile, all: boolean): Map<string, Held> {
  const held = new Map<string, Held>();
  for (const sample of profile.samples) {
    const key = stackKey(sample, all);
    if (key === null) continue;
    let known = held.get(key);
    if (known === undefined) {
      known = { bytes: 0, objects: 0, samples: 0, sample };
      held.set(key, known);
    }
    known.bytes += sample.inuseSpace;
    known.objects += sample.inuseObjects;
    known.samples += samplesOf(sample);
    if (sample.inuseSpace > known.sample.inuseSpace) known.sample = sample;
  }
  return held;
}
