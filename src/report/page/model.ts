import type { PageData } from '../page-data.js';

/** What the reader has chosen. */
export interface View {
  /** An index into the processes; -1 for all. */
  process: number;
  /** An index into the four values. */
  value: number;
  /** An index into the strings; -1 for all. */
  owner: number;
  inverted: boolean;
  /** Frames from the root to the one that fills the width. */
  zoom: number[];
  /** Lower case; empty for none. */
  search: string;
}

export const VALUE_NAMES = ['In use, bytes', 'In use, objects', 'Allocated, bytes', 'Allocated, objects'];

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A value in its unit; of differences with its sign. */
export function format(value: number, which: number, signed = false): string {
  const sign = value < 0 ? '−' : signed && value > 0 ? '+' : '';
  let size = Math.abs(value);
  if (which % 2 === 1) return sign + Math.round(size).toLocaleString('en-US');
  let unit = 0;
  while (unit < UNITS.length - 1 && Math.round(size) >= 1024) {
    size /= 1024;
    unit++;
  }
  return `${sign}${size.toFixed(unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2)} ${UNITS[unit]}`;
}

/** A part of a whole. */
export function share(part: number, whole: number): string {
  return whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)}%`;
}

/** Sums of a view: what each node of the tree of stacks holds itself, and with all below it; of profile and baseline. */
export interface Sums {
  self: Float64Array;
  total: Float64Array;
  baseSelf: Float64Array;
  baseTotal: Float64Array;
}

/** The data with what is asked of it again and again. */
export class Model {
  readonly nodeCount: number;
  /** First child and next sibling of each node; 0 for none. */
  readonly firstChild: Int32Array;
  readonly nextSibling: Int32Array;

  constructor(readonly data: PageData) {
    const { parent } = data.nodes;
    this.nodeCount = parent.length;
    this.firstChild = new Int32Array(this.nodeCount);
    this.nextSibling = new Int32Array(this.nodeCount);
    for (let node = this.nodeCount - 1; node > 0; node--) {
      const above = parent[node] as number;
      this.nextSibling[node] = this.firstChild[above] as number;
      this.firstChild[above] = node;
    }
  }

  name(frame: number): string {
    return this.data.strings[this.data.frames.name[frame] as number] as string;
  }

  /** The name; of a JavaScript function with the line that calls, which tells its frames apart. */
  label(frame: number): string {
    const { frames, strings } = this.data;
    const file = strings[frames.file[frame] as number] as string;
    const script = file !== '' && strings[frames.mapping[frame] as number] === '';
    return script
      ? `${this.name(frame)}  ${file.slice(file.lastIndexOf('/') + 1)}:${frames.line[frame]}`
      : this.name(frame);
  }

  owner(frame: number): string {
    return this.data.strings[this.data.frames.owner[frame] as number] as string;
  }

  /** Source line, or the file mapped. */
  place(frame: number): string {
    const { frames, strings } = this.data;
    const file = strings[frames.file[frame] as number] as string;
    const line = frames.line[frame] as number;
    const mapping = strings[frames.mapping[frame] as number] as string;
    if (file === '') return mapping;
    return `${file}${line > 0 ? `:${line}` : ''}${mapping === '' ? '' : `  in ${mapping}`}`;
  }

  /** Calls `visit` for each sample that the view shows. */
  samples(view: View, visit: (sample: number, isBase: boolean, value: number) => void, owners = true): void {
    const { process, owner, side, values } = this.data.samples;
    const column = values[view.value] as number[];
    for (let i = 0; i < column.length; i++) {
      if (view.process >= 0 && process[i] !== view.process) continue;
      if (owners && view.owner >= 0 && owner[i] !== view.owner) continue;
      const value = column[i] as number;
      if (value !== 0) visit(i, side[i] === 1, value);
    }
  }

  sums(view: View): Sums {
    const empty = (): Float64Array => new Float64Array(this.nodeCount);
    const sums: Sums = { self: empty(), total: empty(), baseSelf: empty(), baseTotal: empty() };
    const { node } = this.data.samples;
    this.samples(view, (i, isBase, value) => {
      const self = isBase ? sums.baseSelf : sums.self;
      const at = node[i] as number;
      self[at] = (self[at] as number) + value;
    });
    const { parent } = this.data.nodes;
    for (const [self, total] of [
      [sums.self, sums.total],
      [sums.baseSelf, sums.baseTotal],
    ] as const) {
      total.set(self);
      for (let i = this.nodeCount - 1; i > 0; i--) {
        const above = parent[i] as number;
        total[above] = (total[above] as number) + (total[i] as number);
      }
    }
    return sums;
  }
}

/** A row of a table. */
export interface TableRow {
  /** What it stands for: an owner's string, a frame, or a process. */
  key: number;
  name: string;
  detail: string;
  value: number;
  base: number;
}

function sorted(rows: Iterable<TableRow>, hasBaseline: boolean): TableRow[] {
  const size = (row: TableRow): number => (hasBaseline ? Math.abs(row.value - row.base) : row.value);
  return [...rows].filter((row) => row.value !== 0 || row.base !== 0).sort((a, b) => size(b) - size(a));
}

/** Sums by what `keyOf` says of a sample. */
function group(
  model: Model,
  view: View,
  owners: boolean,
  keyOf: (sample: number) => number,
  describe: (key: number) => Pick<TableRow, 'name' | 'detail'>,
): TableRow[] {
  const rows = new Map<number, TableRow>();
  model.samples(
    view,
    (i, isBase, value) => {
      const key = keyOf(i);
      let row = rows.get(key);
      if (row === undefined) {
        row = { key, ...describe(key), value: 0, base: 0 };
        rows.set(key, row);
      }
      if (isBase) row.base += value;
      else row.value += value;
    },
    owners,
  );
  return sorted(rows.values(), model.data.hasBaseline);
}

/** Whose memory it is. Every owner stays in the table when one is chosen. */
export function ownerRows(model: Model, view: View): TableRow[] {
  const { samples, strings } = model.data;
  return group(
    model,
    view,
    false,
    (i) => samples.owner[i] as number,
    (key) => ({ name: strings[key] as string, detail: '' }),
  );
}

/** The functions that allocated. */
export function functionRows(model: Model, view: View): TableRow[] {
  const { samples, nodes } = model.data;
  return group(
    model,
    view,
    true,
    (i) => nodes.frame[samples.node[i] as number] as number,
    (key) => ({ name: model.name(key), detail: model.owner(key) }),
  );
}

/** The processes, whichever one is chosen. */
export function processRows(model: Model, view: View): TableRow[] {
  const { samples, processes } = model.data;
  return group(
    model,
    { ...view, process: -1 },
    true,
    (i) => samples.process[i] as number,
    (key) => ({
      name: `${processes[key]?.pid || '?'}  ${processes[key]?.command}`,
      detail: processes[key]?.kind ?? '',
    }),
  );
}
