import { posix } from 'node:path';
import {
  addValues,
  type Location,
  type Profile,
  type ProfiledProcess,
  type Sample,
  type Values,
  zeroValues,
} from '../profile/model.js';
import { resolveLocation, type ShownFrame, sampleOwner } from '../symbolize/resolve.js';

/** What a row stands for. @since 0.1.0 */
export type GroupBy = 'function' | 'line' | 'mapping' | 'package' | 'process';

/** A row: what was allocated there itself (`self`), and there or in what it called (`cumulative`). */
export interface Row {
  name: string;
  /** Source file; empty when unknown or when rows are no functions. */
  file: string;
  /** 0 when unknown. */
  line: number;
  /** Path of the mapped file; empty outside every mapping and for rows that are in several. */
  mapping: string;
  package: string;
  self: Values;
  cumulative: Values;
  /** The processes that allocated here. */
  processes: ProfiledProcess[];
}

interface Entry extends Row {
  /** The last sample counted in `cumulative`: a recursive function counts once. */
  lastSample: Sample | null;
}

/** The rows that one location stands for, innermost first. */
interface LocationEntries {
  entries: Entry[];
  /** Without allocation wrappers. */
  callers: Entry[];
}

const NO_STACK: Location = {
  address: 0,
  mapping: null,
  offset: 0,
  frames: [{ function: '[no stack]', file: '', line: 0 }],
};

class Grouping {
  readonly #by: GroupBy;
  readonly #rows = new Map<string, Entry>();
  readonly #known = new Map<Location, LocationEntries>();

  constructor(by: GroupBy) {
    this.#by = by;
  }

  rows(): Row[] {
    // Allocation wrappers have entries that nothing was counted in.
    const counted = [...this.#rows.values()].filter((entry) => entry.lastSample !== null);
    return counted.map(({ lastSample: _, ...row }) => row);
  }

  add(sample: Sample): void {
    if (this.#by === 'process') {
      const { pid, command, id } = sample.process;
      const name = `${pid || posix.basename(id)}${command === '' ? '' : ` ${command}`}`;
      const entry = this.#row(id, { name, file: '', line: 0, mapping: '', package: '' });
      this.#count(entry, sample);
      addValues(entry.self, sample);
      return;
    }
    const stack = sample.locations.length === 0 ? [NO_STACK] : sample.locations;
    let self: Entry | undefined;
    for (const location of stack) {
      for (const entry of this.#entries(location).callers) {
        self ??= entry;
        this.#count(entry, sample);
      }
    }
    if (self === undefined) {
      // Nobody but allocation wrappers: better the outermost of them than nothing.
      self = stack.flatMap((location) => this.#entries(location).entries).at(-1) as Entry;
      this.#count(self, sample);
    }
    if (this.#by === 'package') self = this.#packageRow(sampleOwner(sample));
    this.#count(self, sample);
    addValues(self.self, sample);
  }

  #packageRow(name: string): Entry {
    return this.#row(name, { name, file: '', line: 0, mapping: '', package: name });
  }

  #count(entry: Entry, sample: Sample): void {
    if (entry.lastSample === sample) return;
    entry.lastSample = sample;
    addValues(entry.cumulative, sample);
    if (entry.processes.at(-1) !== sample.process && !entry.processes.includes(sample.process)) {
      entry.processes.push(sample.process);
    }
  }

  #entries(location: Location): LocationEntries {
    let known = this.#known.get(location);
    if (known === undefined) {
      const entries: Entry[] = [];
      const callers: Entry[] = [];
      for (const frame of resolveLocation(location)) {
        const entry = this.#entry(frame);
        entries.push(entry);
        if (!frame.wrapper) callers.push(entry);
      }
      known = { entries, callers };
      this.#known.set(location, known);
    }
    return known;
  }

  #entry({ name, file, line, mapping, owner }: ShownFrame): Entry {
    if (this.#by === 'package') return this.#packageRow(owner);
    if (this.#by === 'mapping') {
      const script = file === '' ? '[no mapping]' : '[JavaScript]';
      const title = mapping === '' ? script : posix.basename(mapping);
      return this.#row(mapping || title, { name: title, file: '', line: 0, mapping, package: mapping ? owner : '' });
    }
    // A native function is known by its file's name, a JavaScript function by its place.
    const place = this.#by === 'line' || mapping === '' ? `\0${file}\0${line}` : '';
    return this.#row(`${name}\0${mapping}${place}`, { name, file, line, mapping, package: owner });
  }

  #row(key: string, what: Omit<Row, 'self' | 'cumulative' | 'processes'>): Entry {
    let entry = this.#rows.get(key);
    if (entry === undefined) {
      entry = { ...what, self: zeroValues(), cumulative: zeroValues(), processes: [], lastSample: null };
      this.#rows.set(key, entry);
    }
    return entry;
  }
}

/**
 * How {@link topRows} groups and sorts.
 *
 * @since 0.1.0
 */
export interface RowsOptions {
  by: GroupBy;
  /** Rows are sorted by this value, largest first. */
  sort: keyof Values;
  /** Sort by what a row and all it called allocated, instead of by the row's own. */
  cumulative?: boolean;
  /** Values are differences: the largest is the one that changed most, up or down. */
  signed?: boolean;
  /** Only this process's samples. */
  process?: ProfiledProcess;
}

/**
 * Who allocated: a profile's samples by function, line, mapping, package or process, sorted.
 *
 * @param profile symbolized, or rows have hexadecimal names.
 * @since 0.1.0
 */
export function topRows(profile: Profile, options: RowsOptions): Row[] {
  const grouping = new Grouping(options.by);
  for (const sample of profile.samples) {
    if (options.process === undefined || sample.process === options.process) grouping.add(sample);
  }
  const { sort } = options;
  const size = (values: Values): number => (options.signed ? Math.abs(values[sort]) : values[sort]);
  const first = options.cumulative ? 'cumulative' : 'self';
  const second = options.cumulative ? 'self' : 'cumulative';
  return grouping
    .rows()
    .sort(
      (a, b) =>
        size(b[first]) - size(a[first]) ||
        size(b[second]) - size(a[second]) ||
        (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
    );
}
