import type { Frame, Location, Profile, Sample } from '../profile/model.js';
import { resolveLocation } from './resolve.js';

class Folder {
  readonly #variants = new Map<Location, Map<number, Location | null>>();

  /** The sample's locations that are left, leaf first. */
  fold(sample: Sample): Location[] {
    const left: Location[] = [];
    let leaf = true;
    for (const location of sample.locations) {
      const first = leaf ? resolveLocation(location).findIndex((frame) => !frame.wrapper) : -1;
      if (first >= 0) leaf = false;
      const kept = this.#variant(location, first);
      if (kept !== null) left.push(kept);
    }
    // Nobody but wrappers: better the outermost of them than nothing.
    const last = sample.locations.at(-1);
    return left.length === 0 && last !== undefined ? [last] : left;
  }

  /** The location without what is folded away; `leaf`: the index of a frame that stays whatever it is. */
  #variant(location: Location, leaf: number): Location | null {
    let variants = this.#variants.get(location);
    if (variants === undefined) {
      variants = new Map();
      this.#variants.set(location, variants);
    }
    let variant = variants.get(leaf);
    if (variant === undefined) {
      const shown = resolveLocation(location);
      const stays = shown.map((frame, i) => i === leaf || (!frame.wrapper && !frame.internal));
      const frames = location.frames.filter((_, i): _ is Frame => stays[i] as boolean);
      if (stays.every(Boolean)) variant = location;
      else variant = frames.length === 0 ? null : { ...location, frames };
      variants.set(leaf, variant);
    }
    return variant;
  }
}

/**
 * The profile as it reads best as stacks: without allocation wrappers, Node's inner frames, V8's, and the glue between
 * JavaScript and addons. The function that allocated stays, whosever it is; no sample goes, and no value changes.
 *
 * @param profile symbolized.
 * @since 0.1.0
 */
export function foldInternals(profile: Profile): Profile {
  const folder = new Folder();
  const samples = profile.samples.map((sample): Sample => ({ ...sample, locations: folder.fold(sample) }));
  const kept = new Set<Location>();
  for (const { locations } of samples) for (const location of locations) kept.add(location);
  return { ...profile, samples, locations: [...kept] };
}
