import { posix } from 'node:path';
import { addValues, type ProfiledProcess, roundValues, type Values, zeroValues } from '../profile/model.js';
import { changesText, commandText, modeText, type ProcessJson, processJson, processTree } from './processes.js';
import { type Column, dim, renderTable, type TextOptions } from './table.js';
import { formatBytes } from './units.js';

/** A dump file. */
export interface ListedDump {
  path: string;
  /** Size of the file, in bytes. */
  size: number;
  /** When it was written, ISO 8601. */
  time: string;
  /** Its samples' sums. */
  values: Values;
}

/** A process with its dumps. */
export interface ListedProcess {
  process: ProfiledProcess;
  /** Oldest first. */
  dumps: ListedDump[];
}

/** What `ls --json` prints: part of the public interface. Sums are those of each process's newest dump. */
export interface LsJson {
  processes: (ProcessJson & { files: (Values & { path: string; size: number; time: string })[] })[];
  total: Values;
  rows: never[];
}

const latest = ({ dumps }: ListedProcess): Values => dumps.at(-1)?.values ?? zeroValues();

/** The list as data. */
export function lsJson(list: readonly ListedProcess[]): LsJson {
  const total = zeroValues();
  for (const entry of list) addValues(total, latest(entry));
  const processes = list.map((entry) => ({
    ...processJson(entry.process, latest(entry)),
    files: entry.dumps.map(({ path, size, time, values }) => ({ path, size, time, ...roundValues(values) })),
  }));
  return { processes, total: roundValues(total), rows: [] };
}

function exitText({ exit, kind }: ProfiledProcess): string {
  if (exit === null) return kind === 'unknown' ? '' : 'no exit seen';
  return exit.signal ?? (exit.code === null ? '' : `exit ${exit.code}`);
}

/**
 * Processes, as a tree, each with its dumps.
 *
 * @returns text that ends with a newline.
 */
export function lsText(list: readonly ListedProcess[], text: TextOptions): string {
  const byProcess = new Map(list.map((entry) => [entry.process, entry]));
  const columns: Column[] = [
    { title: 'PROCESS' },
    { title: 'KIND' },
    { title: 'MODE' },
    { title: 'IN USE', align: 'right' },
    { title: 'ALLOCATED', align: 'right' },
    { title: 'SIZE', align: 'right' },
    { title: 'TIME' },
    { title: 'COMMAND, DUMPS', flexible: 1 },
  ];
  const rows: string[][] = [];
  let folder: string | null = null;
  for (const { process, depth } of processTree(list.map((entry) => entry.process))) {
    const { dumps } = byProcess.get(process) as ListedProcess;
    const pid = `${'  '.repeat(depth)}${process.pid || '?'}`;
    const exit = exitText(process);
    const command = `${commandText(process)}${exit === '' ? '' : ` (${exit})`}`;
    rows.push([
      pid,
      process.kind,
      modeText(process),
      '',
      '',
      '',
      (process.startTime ?? '').replace(/\.\d+/, ''),
      command,
    ]);
    for (const { path, size, time, values } of dumps) {
      folder = folder === null || folder === posix.dirname(path) ? posix.dirname(path) : '';
      const bytes = [values.inuseSpace, values.allocSpace, size].map(formatBytes);
      rows.push(['', '', '', ...bytes, time.replace(/\.\d+/, ''), path]);
    }
    if (dumps.length === 0) rows.push(['', '', '', '', '', '', '', '(no dump)']);
  }
  // In one folder the names are enough.
  const short =
    folder === null || folder === '' ? rows : rows.map((row) => [...row.slice(0, 7), shorten(row[7] ?? '', folder)]);
  const note = folder === null || folder === '' ? '' : dim(`in ${folder}\n`, text);
  const changes = list.flatMap((entry) => changesText(entry.process) ?? []);
  return renderTable(columns, short, text) + note + changes.map((line) => `${line}\n`).join('');
}

function shorten(cell: string, folder: string): string {
  return cell.startsWith(`${folder}/`) && cell.endsWith('.heap') ? cell.slice(folder.length + 1) : cell;
}
