import type { Location, Mapping, Profile, ProfiledProcess, Sample } from './model.js';
import { addValues } from './model.js';

/** What names a mapping's file across processes: addresses differ in each, because of ASLR. */
export function mappingKey(mapping: Mapping): string {
  return mapping.buildId === '' ? mapping.file : mapping.buildId;
}

class Merger {
  readonly #processes = new Map<string, ProfiledProcess>();
  readonly #mappings = new Map<string, Mapping>();
  /** Numbers of the merged locations, by what makes them the same. */
  readonly #ids = new Map<string, number>();
  readonly #locations: Location[] = [];
  readonly #samples: Sample[] = [];
  readonly #stacks = new Map<string, Sample>();
  /** The stack at hand, as numbers: large profiles have millions of frames, and each is looked up once. */
  #stackIds = new Int32Array(64);
  /** Stacks by a hash of their locations' numbers. */
  readonly #shared = new Map<number, readonly Location[]>();
  readonly #warnings = new Set<string>();
  readonly #repeated: ReadonlySet<string>;

  /** `repeated`: the processes that several profiles speak of, whose equal stacks have to be added up. */
  constructor(repeated: ReadonlySet<string>) {
    this.#repeated = repeated;
  }

  /** `own`: the profile is nobody else's, and its samples may become the result's. */
  add(profile: Profile, own = false): void {
    for (const process of profile.processes) {
      const known = this.#processes.get(process.id);
      const dumps = [...new Set([...(known?.dumps ?? []), ...process.dumps])].sort();
      this.#processes.set(process.id, known === undefined ? process : { ...known, dumps });
    }
    for (const warning of profile.warnings) this.#warnings.add(warning);
    const moved = new Map<Location, number>();
    for (const location of profile.locations) moved.set(location, this.#location(location, profile));
    for (const sample of profile.samples) {
      const locations = this.#stack(sample.locations, moved);
      if (own) (sample as { locations: readonly Location[] }).locations = locations;
      this.#sample(own ? sample : { ...sample, locations });
    }
  }

  end(): Profile {
    const processes = [...this.#processes.values()];
    // A process that came in twice has a new description.
    for (const [index, sample] of this.#samples.entries()) {
      const process = this.#processes.get(sample.process.id) as ProfiledProcess;
      if (process !== sample.process) this.#samples[index] = { ...sample, process };
    }
    return {
      processes,
      mappings: [...this.#mappings.values()],
      locations: this.#locations,
      samples: this.#samples,
      warnings: [...this.#warnings],
    };
  }

  /** The number of the merged location. */
  #location(location: Location, profile: Profile): number {
    let key: string;
    let mapping: Mapping | null = null;
    if (location.mapping === null && location.frames.length > 0) {
      key = location.frames
        .map((frame) => `${frame.function}\0${frame.file}\0${frame.line}:${frame.column}:${frame.startLine}`)
        .join('\0');
    } else if (location.mapping === null) {
      // Without a file an address means something in its own process only.
      key = `${profile.processes.map((process) => process.id).join('|')}\0${location.address}`;
    } else {
      const name = mappingKey(location.mapping);
      mapping = this.#mappings.get(name) ?? location.mapping;
      this.#mappings.set(name, mapping);
      key = `${name}\0${location.offset}`;
    }
    const known = this.#ids.get(key);
    if (known === undefined) {
      this.#ids.set(key, this.#locations.length);
      return this.#locations.push({ ...location, mapping }) - 1;
    }
    const merged = this.#locations[known] as Location;
    if (merged.frames.length === 0) merged.frames = location.frames;
    return known;
  }

  /** The merged stack; one array for all samples with it, for processes of one service have most of their stacks in common. */
  #stack(locations: readonly Location[], moved: ReadonlyMap<Location, number>): readonly Location[] {
    const { length } = locations;
    if (length > this.#stackIds.length) this.#stackIds = new Int32Array(2 * length);
    const ids = this.#stackIds;
    let hash = length;
    for (let i = 0; i < length; i++) {
      const id = moved.get(locations[i] as Location) as number;
      ids[i] = id;
      hash = (Math.imul(hash, 0x01000193) ^ id) | 0;
    }
    const known = this.#shared.get(hash);
    if (known?.length === length) {
      let i = 0;
      while (i < length && known[i] === this.#locations[ids[i] as number]) i++;
      if (i === length) return known;
    }
    const stack = locations.map((_, i) => this.#locations[ids[i] as number] as Location);
    if (known === undefined) this.#shared.set(hash, stack);
    return stack;
  }

  /** Takes the sample whose stack is at hand. */
  #sample(sample: Sample): void {
    if (this.#repeated.has(sample.process.id)) {
      const stack = this.#stackIds.subarray(0, sample.locations.length).join(' ');
      const key = `${sample.process.id}\0${stack}`;
      const known = this.#stacks.get(key);
      if (known !== undefined) {
        addValues(known, sample);
        return;
      }
      this.#stacks.set(key, sample);
    }
    this.#samples.push(sample);
  }
}

/**
 * Like {@link mergeProfiles} for profiles that have no process in common and that nobody else needs: takes them one at a time, so
 * that they need not all be in memory, and uses their samples.
 */
export function mergeDistinct(profiles: Iterable<Profile>): Profile {
  const merger = new Merger(new Set());
  for (const profile of profiles) merger.add(profile, true);
  return merger.end();
}

/**
 * One profile of several. Locations are the same when they lie at the same offset of the same file (by build ID, or by path
 * where that is unknown), JavaScript functions when they have the same name and place; every sample keeps its process.
 *
 * @since 0.1.0
 */
export function mergeProfiles(profiles: readonly Profile[]): Profile {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const { id } of profiles.flatMap((profile) => profile.processes)) {
    if (seen.has(id)) repeated.add(id);
    seen.add(id);
  }
  const merger = new Merger(repeated);
  for (const profile of profiles) merger.add(profile);
  return merger.end();
}
