import { styleText } from 'node:util';
import Table from 'cli-table3';
import { elide, elidePath, printable } from './units.js';

/** How text is to be laid out. */
export interface TextOptions {
  /** Columns of the terminal. */
  width: number;
  color: boolean;
}

export interface Column {
  title: string;
  align?: 'left' | 'right';
  /** Gives way when the table is too wide: its share of what is left over by the columns that do not. */
  flexible?: number;
  /** Holds paths: their ends are kept. */
  path?: true;
  /** May be left out of a table that is too wide; the smallest number goes first. */
  spare?: number;
}

// Whether there is a terminal was decided by the caller.
const ALWAYS = { validateStream: false };
const GAP = 2;
const SMALLEST = 12;
// Less of a name or path says little: then rather a column less.
const COMFORTABLE = 18;

const SIDES = ['', '-mid', '-left', '-right'];
const NO_LINES = Object.fromEntries(
  ['top', 'bottom', 'left', 'mid', 'right'].flatMap((name) => SIDES.map((side) => [`${name}${side}`, ''])),
);

/** Bold, when colours are wanted. */
export function bold(text: string, options: TextOptions): string {
  return options.color ? styleText('bold', text, ALWAYS) : text;
}

/** Dim, when colours are wanted. */
export function dim(text: string, options: TextOptions): string {
  return options.color ? styleText('dim', text, ALWAYS) : text;
}

function columnWidths(columns: readonly Column[], cells: readonly string[][], width: number): number[] {
  const natural = naturalWidths(columns, cells);
  const total = natural.reduce((sum, w) => sum + w + GAP, -GAP);
  let over = total - width;
  const flexible = columns.map((_, i) => i).filter((i) => columns[i]?.flexible !== undefined);
  // The widest gives first, until they are equally wide by their shares.
  while (over > 0) {
    const share = (i: number): number => (natural[i] as number) / (columns[i]?.flexible ?? 1);
    const widest = flexible.filter((i) => (natural[i] as number) > SMALLEST).sort((a, b) => share(b) - share(a))[0];
    if (widest === undefined) break;
    natural[widest] = (natural[widest] as number) - 1;
    over--;
  }
  return natural;
}

/** The widest cell of each column. */
function naturalWidths(columns: readonly Column[], cells: readonly string[][]): number[] {
  return columns.map((column, i) =>
    cells.reduce((widest, row) => Math.max(widest, [...(row[i] ?? '')].length), column.title.length),
  );
}

/** Numbers of the columns that there is room for. */
function shownColumns(columns: readonly Column[], cells: readonly string[][], width: number): number[] {
  const needed = naturalWidths(columns, cells).map((natural, i) =>
    columns[i]?.flexible === undefined ? natural : Math.min(natural, COMFORTABLE),
  );
  let shown = columns.map((_, i) => i);
  while (shown.reduce((sum, i) => sum + (needed[i] as number) + GAP, -GAP) > width) {
    const spare = shown.map((i) => columns[i]?.spare ?? Number.POSITIVE_INFINITY);
    const first = Math.min(...spare);
    if (first === Number.POSITIVE_INFINITY) break;
    shown = shown.filter((_, at) => spare[at] !== first);
  }
  return shown;
}

/** Lays out a table without lines; ends with a newline. */
export function renderTable(all: readonly Column[], rows: readonly string[][], options: TextOptions): string {
  const whole = rows.map((row) => row.map(printable));
  const shown = shownColumns(all, whole, options.width);
  const columns = shown.map((i) => all[i] as Column);
  const cells = whole.map((row) => shown.map((i) => row[i] ?? ''));
  const widths = columnWidths(columns, cells, options.width);
  const table = new Table({
    chars: { ...NO_LINES, middle: ' '.repeat(GAP) },
    colAligns: columns.map((column) => column.align ?? 'left'),
    colWidths: widths,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  table.push(columns.map((column, i) => bold(elide(column.title, widths[i] as number), options)));
  for (const row of cells)
    table.push(row.map((cell, i) => (columns[i]?.path ? elidePath : elide)(cell, widths[i] as number)));
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}
