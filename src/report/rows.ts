import { posix } from 'node:path';
import type { Location, Profile, ProfiledProcess, Sample, Values } from '../profile/model.js';
import { resolveLocation, type ShownFrame, sampleOwner } from '../symbolize/resolve.js';
import { sampleThread } from '../symbolize/thread.js';

/** What a row stands for; `javascript`: a line of JavaScript, the nearest one below the allocation. @since 0.1.0 */
export type GroupBy = 'function' | 'line' | 'javascript' | 'mapping' | 'package' | 'process' | 'thread';

/** What rows can stand for, in the order of the help. */
export const GROUPS: readonly GroupBy[] = ['function', 'line', 'javascript', 'mapping', 'package', 'process', 'thread'];

/** Whether rows are lines of source, not whole functions. */
export const areLines = (by: GroupBy): boolean => by === 'line' || by === 'javascript';

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

/** A row that is being summed up. */
interface Entry {
  readonly what: Omit<Row, 'self' | 'cumulative' | 'processes'>;
  /** Where its numbers are. */
  readonly index: number;
  readonly processes: ProfiledProcess[];
}

const SELF = 0;
const CUMULATIVE = 4;
const STRIDE = 8;

/** The rows that one location stands for, innermost first. */
interface LocationEntries {
  entries: Entry[];
  /** Without allocation wrappers. */
  callers: Entry[];
}

/** The rows that one stack is counted in, by their numbers. */
interface StackRows {
  /** Each once, however often a function calls itself. */
  readonly rows: readonly number[];
  readonly self: number;
}

const NOWHERE = { name: '', file: '', line: 0, mapping: '', package: '' };
const NO_JAVASCRIPT = { ...NOWHERE, name: '[no JavaScript]' };
const NO_STACK: Location = {
  address: 0,
  mapping: null,
  offset: 0,
  frames: [{ function: '[no stack]', file: '', line: 0 }],
};

/** Of the program or a package: Node's own JavaScript calls for somebody else. */
const isJavaScript = ({ mapping, file, internal }: ShownFrame): boolean => mapping === '' && file !== '' && !internal;

class Grouping {
  readonly #by: GroupBy;
  readonly #rows = new Map<string, Entry>();
  readonly #byNumber: Entry[] = [];
  readonly #known = new Map<Location, LocationEntries>();
  /** Processes of one service share most of their stacks. */
  readonly #stacks = new Map<readonly Location[], StackRows>();
  /** Of each row its own values, and the cumulative ones: large profiles add millions of times. */
  #sums = new Float64Array(256 * STRIDE);
  /** Number of the stack looked at last for each row: a recursive function counts once. */
  #last = new Int32Array(256);
  /** Of each row, which run of samples of one process it was counted in last. */
  #lastProcess = new Int32Array(256);
  #process: ProfiledProcess | null = null;
  #processChanges = 0;

  constructor(by: GroupBy) {
    this.#by = by;
  }

  rows(): Row[] {
    // Allocation wrappers have entries that nothing was counted in.
    const counted = [...this.#rows.values()].filter(({ processes }) => processes.length > 0);
    return counted.map(({ what, index, processes }) => ({
      ...what,
      self: this.#values(index * STRIDE + SELF),
      cumulative: this.#values(index * STRIDE + CUMULATIVE),
      processes,
    }));
  }

  add(sample: Sample): void {
    if (this.#by === 'process') {
      const { pid, command, id } = sample.process;
      const name = `${pid || posix.basename(id)}${command === '' ? '' : ` ${command}`}`;
      const self = this.#row(id, { ...NOWHERE, name });
      this.#count({ rows: [self.index], self: self.index }, sample);
      return;
    }
    let stack = this.#stacks.get(sample.locations);
    if (stack === undefined) {
      stack = this.#by === 'thread' ? this.#threadOf(sample) : this.#stackOf(sample);
      this.#stacks.set(sample.locations, stack);
    }
    this.#count(stack, sample);
  }

  #threadOf(sample: Sample): StackRows {
    const name = sampleThread(sample);
    const { index } = this.#row(name, { ...NOWHERE, name });
    return { rows: [index], self: index };
  }

  #stackOf(sample: Sample): StackRows {
    const stack = sample.locations.length === 0 ? [NO_STACK] : sample.locations;
    const number = this.#stacks.size + 1;
    const rows: number[] = [];
    const enter = ({ index }: Entry): void => {
      if (this.#last[index] === number) return;
      this.#last[index] = number;
      rows.push(index);
    };
    let self: Entry | undefined;
    for (const location of stack) {
      const { callers } = this.#entries(location);
      for (const entry of callers) enter(entry);
      self ??= callers[0];
    }
    if (this.#by === 'package') self = this.#packageRow(sampleOwner(sample));
    if (this.#by === 'javascript') self ??= this.#row(NO_JAVASCRIPT.name, NO_JAVASCRIPT);
    // Nobody but allocation wrappers: better the outermost of them than nothing.
    self ??= stack.flatMap((location) => this.#entries(location).entries).at(-1) as Entry;
    enter(self);
    return { rows, self: self.index };
  }

  #count({ rows, self }: StackRows, sample: Sample): void {
    if (sample.process !== this.#process) {
      this.#process = sample.process;
      this.#processChanges++;
    }
    const process = this.#processChanges;
    for (const index of rows) {
      this.#add(index * STRIDE + CUMULATIVE, sample);
      if (this.#lastProcess[index] === process) continue;
      this.#lastProcess[index] = process;
      const { processes } = this.#byNumber[index] as Entry;
      if (!processes.includes(sample.process)) processes.push(sample.process);
    }
    this.#add(self * STRIDE + SELF, sample);
  }

  #add(at: number, { inuseObjects, inuseSpace, allocObjects, allocSpace }: Values): void {
    const sums = this.#sums;
    sums[at] = (sums[at] as number) + inuseObjects;
    sums[at + 1] = (sums[at + 1] as number) + inuseSpace;
    sums[at + 2] = (sums[at + 2] as number) + allocObjects;
    sums[at + 3] = (sums[at + 3] as number) + allocSpace;
  }

  #values(at: number): Values {
    const [inuseObjects = 0, inuseSpace = 0, allocObjects = 0, allocSpace = 0] = this.#sums.subarray(at, at + 4);
    return { inuseObjects, inuseSpace, allocObjects, allocSpace };
  }

  #packageRow(name: string): Entry {
    return this.#row(name, { name, file: '', line: 0, mapping: '', package: name });
  }

  #entries(location: Location): LocationEntries {
    let known = this.#known.get(location);
    if (known === undefined) {
      const entries: Entry[] = [];
      const callers: Entry[] = [];
      for (const frame of resolveLocation(location)) {
        if (this.#by === 'javascript' && !isJavaScript(frame)) continue;
        const entry = this.#entry(frame);
        entries.push(entry);
        if (!frame.wrapper) callers.push(entry);
      }
      known = { entries, callers };
      this.#known.set(location, known);
    }
    return known;
  }

  #entry({ name, file, line: at, startLine, mapping, owner }: ShownFrame): Entry {
    if (this.#by === 'package') return this.#packageRow(owner);
    if (this.#by === 'mapping') {
      const script = file === '' ? '[no mapping]' : '[JavaScript]';
      const title = mapping === '' ? script : posix.basename(mapping);
      return this.#row(mapping || title, { name: title, file: '', line: 0, mapping, package: mapping ? owner : '' });
    }
    const byLine = areLines(this.#by);
    const line = byLine ? at : startLine;
    // A native function is known by its file's name, a JavaScript function by its place.
    const place = byLine || mapping === '' ? `\0${file}\0${line}` : '';
    return this.#row(`${name}\0${mapping}${place}`, { name, file, line, mapping, package: owner });
  }

  #row(key: string, what: Entry['what']): Entry {
    let entry = this.#rows.get(key);
    if (entry === undefined) {
      const index = this.#rows.size;
      entry = { what, index, processes: [] };
      this.#rows.set(key, entry);
      this.#byNumber.push(entry);
      if (index >= this.#last.length) this.#grow();
    }
    return entry;
  }

  #grow(): void {
    const sums = new Float64Array(2 * this.#sums.length);
    sums.set(this.#sums);
    this.#sums = sums;
    const grown = (numbers: Int32Array): Int32Array<ArrayBuffer> => {
      const more = new Int32Array(2 * numbers.length);
      more.set(numbers);
      return more;
    };
    this.#last = grown(this.#last);
    this.#lastProcess = grown(this.#lastProcess);
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
 * Who allocated: a profile's samples by what {@link GroupBy} names, sorted.
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
