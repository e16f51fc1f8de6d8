import { posix } from 'node:path';
import {
  type Profile,
  type ProfiledProcess,
  roundValues,
  totalValues,
  type Values,
  zeroValues,
} from '../profile/model.js';
import type { SymbolizeResult } from '../symbolize/symbolize.js';
import { notes, warningsOf } from './notes.js';
import { commandText, modeText, type ProcessJson, processJson, processTotals, processTree } from './processes.js';
import { areLines, type GroupBy, type Row, topRows } from './rows.js';
import { bold, type Column, dim, renderTable, type TextOptions } from './table.js';
import { elide, formatCount, formatShare, printable } from './units.js';
import { formatValue, VALUE_TITLES } from './values.js';

export interface TopOptions {
  by: GroupBy;
  sort: keyof Values;
  cumulative: boolean;
  /** Rows of each table; 0 for all. */
  limit: number;
  /** A table for each process, instead of one for all. */
  perProcess: boolean;
  /** Values are differences: without shares, and sorted by their size whatever their sign. */
  signed?: boolean;
}

/** A row in `--json`: part of the public interface. */
export interface RowJson {
  name: string;
  /** Source file; null when unknown. */
  file: string | null;
  line: number | null;
  /** Path of the mapped file; null outside every mapping and for rows that lie in several. */
  mapping: string | null;
  package: string | null;
  /** Pids that allocated here. */
  pids: number[];
  self: Values;
  cumulative: Values;
}

/** What `top --json` prints: part of the public interface. */
export interface TopJson {
  processes: (ProcessJson & { rows?: RowJson[] })[];
  total: Values;
  rows: RowJson[];
  unsymbolized: { file: string; reason: string; locations: number }[];
  warnings: string[];
}

const cut = <T>(list: T[], limit: number): T[] => (limit === 0 ? list : list.slice(0, limit));

function rowJson({ name, file, line, mapping, package: owner, processes, self, cumulative }: Row): RowJson {
  const pids = processes.map((process) => process.pid);
  return {
    name,
    file: file || null,
    line: line || null,
    mapping: mapping || null,
    package: owner || null,
    pids,
    self: roundValues(self),
    cumulative: roundValues(cumulative),
  };
}

/** The table as data. */
export function topJson(profile: Profile, symbols: SymbolizeResult, options: TopOptions): TopJson {
  const rows = (process?: ProfiledProcess): RowJson[] =>
    cut(topRows(profile, { ...options, ...(process === undefined ? {} : { process }) }), options.limit).map(rowJson);
  return {
    processes: [...processTotals(profile)].map(([process, values]) => ({
      ...processJson(process, values),
      ...(options.perProcess ? { rows: rows(process) } : {}),
    })),
    total: roundValues(totalValues(profile)),
    rows: rows(),
    unsymbolized: [...symbols.unsymbolized],
    warnings: warningsOf(profile),
  };
}

function processTable(profile: Profile, options: TopOptions, text: TextOptions): string {
  const columns: Column[] = [
    { title: 'PID', align: 'right' },
    { title: 'KIND' },
    { title: 'MODE' },
    { title: 'IN USE', align: 'right' },
    { title: 'ALLOCATED', align: 'right' },
    { title: 'COMMAND', flexible: 1 },
  ];
  const totals = processTotals(profile);
  const tree = processTree(profile.processes);
  const shown = cut(tree, options.limit);
  const rows = shown.map(({ process }) => {
    const total = totals.get(process) ?? zeroValues();
    const values = (['inuseSpace', 'allocSpace'] as const).map((name) => cell(name, total[name], options.signed));
    return [process.pid ? `${process.pid}` : '?', process.kind, modeText(process), ...values, commandText(process)];
  });
  const hidden = tree.length - shown.length;
  return (
    renderTable(columns, rows, text) +
    (hidden > 0 ? dim(`${hidden} more process${hidden === 1 ? '' : 'es'}\n`, text) : '')
  );
}

const BESIDE: Record<keyof Values, [keyof Values, string]> = {
  inuseSpace: ['inuseObjects', 'OBJECTS'],
  inuseObjects: ['inuseSpace', 'BYTES'],
  allocSpace: ['allocObjects', 'OBJECTS'],
  allocObjects: ['allocSpace', 'BYTES'],
};
const ROW_TITLES: Record<GroupBy, string> = {
  function: 'FUNCTION',
  line: 'FUNCTION',
  javascript: 'FUNCTION',
  mapping: 'FILE',
  package: 'PACKAGE',
  process: 'PROCESS',
  thread: 'THREAD',
};

/** Where a row's code is: the package and file mapped, or its source line. */
function place(row: Row, by: GroupBy): string {
  const script = row.mapping === '' && row.line > 0;
  if (row.file !== '' && (areLines(by) || script)) return `${row.file}:${row.line}`;
  if (by === 'mapping') return row.mapping;
  const file = posix.basename(row.mapping);
  if (file === '' || file === row.package) return file;
  return row.mapping.includes('/node_modules/') ? `${row.package}/${file}` : file;
}

/** A value; of a difference with its sign. */
function cell(name: keyof Values, value: number, signed: boolean | undefined): string {
  return `${signed && Math.round(value) > 0 ? '+' : ''}${formatValue(name, value)}`;
}

function rowTable(profile: Profile, options: TopOptions, text: TextOptions, process?: ProfiledProcess): string {
  const { by, sort, limit, cumulative, signed } = options;
  const all = topRows(profile, { ...options, ...(process === undefined ? {} : { process }) }).filter(
    (row) => row[cumulative ? 'cumulative' : 'self'][sort] !== 0,
  );
  const total = totalValues(profile, process)[sort];
  if (all.length === 0) return dim(`nothing (${VALUE_TITLES[sort].toLowerCase()})\n`, text);
  const shown = cut(all, limit);
  const [beside, besideTitle] = BESIDE[sort];
  const several = process === undefined && profile.processes.length > 1 && by !== 'process';
  const stacked = by !== 'process' && by !== 'thread';
  const placed = by === 'function' || areLines(by) || by === 'mapping';
  const right = 'right' as const;
  const share = signed ? [] : [{ title: '%', align: right }];
  const columns: Column[] = [
    { title: VALUE_TITLES[sort], align: right },
    ...share,
    ...(stacked ? [{ title: 'CUMULATIVE', align: right }, ...share.map((column) => ({ ...column, spare: 1 }))] : []),
    { title: besideTitle, align: right },
    ...(several ? [{ title: 'PROCS', align: right, spare: 2 }] : []),
    { title: ROW_TITLES[by], flexible: 2 },
    ...(placed ? [{ title: 'WHERE', flexible: 1, path: true as const }] : []),
  ];
  const withShare = (value: number): string[] => [
    cell(sort, value, signed),
    ...(signed ? [] : [formatShare(value, total)]),
  ];
  const rows = shown.map((row) => [
    ...withShare(row.self[sort]),
    ...(stacked ? withShare(row.cumulative[sort]) : []),
    cell(beside, row.self[beside], signed),
    ...(several ? [`${row.processes.length}`] : []),
    row.name,
    ...(placed ? [place(row, by)] : []),
  ]);
  let out = renderTable(columns, rows, text);
  if (shown.length < all.length) {
    const rest = all.slice(shown.length).reduce((sum, row) => sum + row.self[sort], 0);
    const [amount = '', part] = withShare(rest);
    const which = cumulative ? '' : ` with ${amount}${part === undefined ? '' : ` (${part})`}`;
    out += dim(
      `${formatCount(all.length - shown.length)} more row${all.length - shown.length === 1 ? '' : 's'}${which}; --limit 0 shows all\n`,
      text,
    );
  }
  return out;
}

/**
 * The table of who allocated, for a terminal.
 *
 * @returns text that ends with a newline.
 */
export function topText(profile: Profile, symbols: SymbolizeResult, options: TopOptions, text: TextOptions): string {
  const parts = [processTable(profile, options, text)];
  if (options.perProcess) {
    for (const { process } of processTree(profile.processes)) {
      const title = `${process.pid || '?'} ${process.kind}  ${printable(commandText(process))}`;
      parts.push(`${bold(elide(title, text.width), text)}\n${rowTable(profile, options, text, process)}`);
    }
  } else {
    parts.push(rowTable(profile, options, text));
  }
  const lines = notes(profile, symbols);
  if (lines.length > 0) parts.push(lines.map((line) => `${dim(printable(line), text)}\n`).join(''));
  return parts.join('\n');
}
