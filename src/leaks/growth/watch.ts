import { packageRoot } from '#root';
import type { Profile } from '../../profile/model.js';
import { symbolize } from '../../symbolize/symbolize.js';
import { leakOwner, toFinding } from '../finding.js';
import { type Suppression, suppressionFor } from '../suppressions.js';
import { type Judgement, judgeSeries, type Point, sameRate } from './judge.js';
import type { LeakOwners } from './options.js';
import { type Held, heldByStack } from './stacks.js';
import type { GrowthFinding } from './verdict.js';

/** The stacks that matter after a series. */
export interface Found {
  /** Growing, in this series as in the one before. */
  leaking: GrowthFinding[];
  /** Growing, or perhaps: a longer series has to tell. */
  open: GrowthFinding[];
  suppressed: GrowthFinding[];
  /** Calls in a series that would decide about the open ones. */
  needed: number;
}

interface Round {
  iterations: number;
  held: Map<string, Held>;
}

const size = ({ bytesPerIteration }: GrowthFinding): number => -bytesPerIteration;

/** What the stacks of one process hold, round after round. */
export class GrowthWatch {
  readonly #owners: LeakOwners;
  readonly #suppressions: readonly Suppression[];
  readonly #rounds: Round[] = [];
  #latest: Profile | null = null;
  #before = new Map<string, Judgement>();

  constructor(owners: LeakOwners, suppressions: readonly Suppression[]) {
    this.#owners = owners;
    this.#suppressions = suppressions;
  }

  /** Takes the profile after a round: `iterations` calls so far. */
  add(profile: Profile, iterations: number): void {
    this.#latest = profile;
    this.#rounds.push({ iterations, held: heldByStack(profile, this.#owners === 'all') });
  }

  get rounds(): number {
    return this.#rounds.length - 1;
  }

  #points(key: string, from: number): Point[] {
    return this.#rounds.slice(from).map(({ iterations, held }) => {
      const { bytes = 0, objects = 0, samples = 0 } = held.get(key) ?? {};
      return { iterations, bytes, objects, samples };
    });
  }

  /** Judges the series that began with round `from`. */
  async judge(from: number): Promise<Found> {
    const last = this.#rounds.at(-1) as Round;
    const sampled = this.#latest?.processes.some((process) => process.mode === 'sampled') ?? false;
    const judged = new Map<string, Judgement>();
    for (const key of last.held.keys()) {
      const judgement = judgeSeries(this.#points(key, from), sampled);
      if (judgement.trend !== 'steady') judged.set(key, judgement);
    }
    const before = this.#before;
    this.#before = judged;
    const found: Found = { leaking: [], open: [], suppressed: [], needed: 0 };
    await this.#name([...judged.keys()].map((key) => last.held.get(key) as Held));
    for (const [key, judgement] of judged) {
      const held = last.held.get(key) as Held;
      const owner = leakOwner(held.sample);
      if (!this.#counts(owner)) continue;
      const earlier = before.get(key);
      const leaks = judgement.trend === 'grows' && earlier?.trend === 'grows' && sameRate(earlier, judgement);
      // Both series would have to be chance.
      const chance = (1 - judgement.confidence) * (leaks ? 1 - earlier.confidence : 1);
      const finding = this.#finding(key, held, { ...judgement, confidence: 1 - chance });
      if (suppressionFor(finding.stack, this.#suppressions) !== undefined) {
        if (judgement.trend === 'grows') found.suppressed.push(finding);
      } else if (leaks) {
        found.leaking.push(finding);
      } else {
        found.open.push(finding);
        found.needed = Math.max(found.needed, judgement.needed);
      }
    }
    for (const list of [found.leaking, found.open, found.suppressed]) list.sort((a, b) => size(a) - size(b));
    return found;
  }

  #counts({ name, addon }: ReturnType<typeof leakOwner>): boolean {
    if (this.#owners === 'all') return true;
    return addon && (this.#owners === 'addons' || this.#owners.includes(name));
  }

  /** Gives the frames of these stacks their names. */
  async #name(held: readonly Held[]): Promise<void> {
    const latest = this.#latest;
    if (latest === null || held.length === 0) return;
    const samples = held.map(({ sample }) => sample);
    const locations = [...new Set(samples.flatMap((sample) => sample.locations))];
    await symbolize({ ...latest, samples, locations });
  }

  #finding(key: string, held: Held, judgement: Judgement): GrowthFinding {
    const points = this.#points(key, 0).map(({ iterations, bytes, objects }) => ({ iterations, bytes, objects }));
    const [first, final] = [points[0], points.at(-1)];
    const { bytesPerIteration, objectsPerIteration, margin, confidence } = judgement;
    const found = toFinding(held.sample);
    return {
      ...found,
      // Who calls the function that is checked is no news.
      stack: found.stack.filter(({ file }) => !file.startsWith(`${packageRoot}/lib/`)),
      bytes: (final?.bytes ?? 0) - (first?.bytes ?? 0),
      objects: (final?.objects ?? 0) - (first?.objects ?? 0),
      bytesPerIteration,
      objectsPerIteration,
      margin,
      confidence,
      points,
    };
  }
}
