import { posix } from 'node:path';
import { addValues, type ProfiledProcess, roundValues, type Values, zeroValues } from '../profile/model.js';
import { changesText, commandText, modeText, type ProcessJson, processJson, processTree } from './processes.js';
import { bold, type Column, dim, renderTable, type TextOptions } from './table.js';
import { elide, formatBytes, printable } from './units.js';

/** A dump file. */
export interface ListedDump {
  path: string;
  /** Size of the file, in bytes. */
  size: number;
  /** When it was written, ISO 8601. */
  time: string;
  /** Its samples' sums; zeros when it cannot be read. */
  values: Values;
  /** Why it cannot be read; null when it can. */
  problem: string | null;
}

/** A process with its dumps. */
export interface ListedProcess {
  process: ProfiledProcess;
  /** Oldest first. */
  dumps: ListedDump[];
}

/** What `ls --json` prints: part of the public interface. Sums are those of each process's newest dump. */
export interface LsJson {
  processes: (ProcessJson & { files: (Values & Omit<ListedDump, 'values'>)[] })[];
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
    files: entry.dumps.map(({ values, ...file }) => ({ ...file, ...roundValues(values) })),
  }));
  return { processes, total: roundValues(total), rows: [] };
}

function exitText({ exit, kind }: ProfiledProcess): string {
  if (exit === null) return kind === 'unknown' ? '' : 'killed, or still running';
  return exit.signal ?? (exit.code === null ? '' : `exit ${exit.code}`);
}

/** The folder that all dumps lie in; null when there are several. */
function commonFolder(list: readonly ListedProcess[]): string | null {
  const folders = new Set(list.flatMap(({ dumps }) => dumps.map(({ path }) => posix.dirname(path))));
  return folders.size === 1 ? ([...folders][0] ?? null) : null;
}

/** Dumps stand to the right of their process. */
const INDENT = '    ';

/** The line above a process's dumps: only its command gives way when the line is too long. */
function processLine(process: ProfiledProcess, depth: number, text: TextOptions): string {
  const exit = exitText(process);
  const end = exit === '' ? '' : ` (${exit})`;
  const head = `${'  '.repeat(depth)}${process.pid || '?'} ${process.kind}  ${modeText(process)}  `;
  const room = Math.max(text.width - [...head].length - end.length, 12);
  return `${head}${elide(printable(commandText(process)), room)}${end}`;
}

/**
 * Processes, as a tree, each with its dumps.
 *
 * @returns text that ends with a newline.
 */
export function lsText(list: readonly ListedProcess[], text: TextOptions): string {
  // In one folder the names are enough.
  const folder = commonFolder(list);
  const columns: Column[] = [
    { title: 'IN USE', align: 'right' },
    { title: 'ALLOCATED', align: 'right' },
    { title: 'SIZE', align: 'right' },
    { title: 'WRITTEN' },
    { title: 'DUMP' },
  ];
  const rows = list.flatMap(({ dumps }) =>
    dumps.map(({ path, size, time, values, problem }) => [
      ...[values.inuseSpace, values.allocSpace].map((value) => (problem === null ? formatBytes(value) : '?')),
      formatBytes(size),
      time.replace(/\.\d+/, ''),
      folder === null ? path : posix.basename(path),
    ]),
  );
  const table = renderTable(columns, rows, { ...text, width: text.width - INDENT.length });
  const [title = '', ...lines] = table.split('\n').map((line) => INDENT + line);
  const linesOf = new Map<ProfiledProcess, string[]>();
  for (const { process, dumps } of list) linesOf.set(process, lines.splice(0, dumps.length));
  const out = [title];
  for (const { process, depth } of processTree(list.map((entry) => entry.process))) {
    out.push(bold(processLine(process, depth, text), text));
    const dumps = linesOf.get(process) ?? [];
    out.push(...(dumps.length === 0 ? [`${INDENT}(no dump)`] : dumps));
  }
  const note = folder === null ? [] : [dim(`in ${folder}`, text)];
  const changes = list.flatMap((entry) => changesText(entry.process) ?? []);
  const problems = list.flatMap(({ dumps }) =>
    dumps.flatMap(({ problem }) => (problem === null ? [] : [printable(problem)])),
  );
  return [...out, ...note, ...changes, ...problems, ''].join('\n');
}
