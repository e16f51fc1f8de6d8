import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ForkheapError } from '../errors.js';

/** The files of one process. */
export interface ProcessFiles {
  /** Path of its files without what follows the pid: `<prefix>_<pid>`, or `<prefix>` of a dump without a pid. */
  readonly id: string;
  /** From the file name; 0 when there is none in it. */
  readonly pid: number;
  /** Paths, oldest first. */
  readonly dumps: readonly string[];
  /** The manifest's path; null when there is none. */
  readonly manifest: string | null;
  /** The caller has given one of the dumps itself, not only a folder or prefix. */
  readonly named: boolean;
}

const DUMP = /^(.+?)(?:\.(\d{4,}))?\.heap$/;
const MANIFEST = /^.+_\d+(?:-\d+)?\.json$/;
const PID = /_(\d+)(?:-\d+)?$/;
// As deep as a prefix with %h, %e and %p makes folders; a PATH such as / must not be walked to its end.
const MAX_DEPTH = 4;

function list(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `Cannot list ${folder} (${code}).`, { path: folder, cause });
  }
}

/** Whether `name` can be a file of a process; what is in a manifest's place but is another JSON file has no dumps beside it. */
function isOurs(name: string): boolean {
  return DUMP.test(name) || MANIFEST.test(name);
}

function inFolder(folder: string, depth: number): string[] {
  const found: string[] = [];
  for (const entry of list(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const skip = entry.name === 'node_modules' || entry.name.startsWith('.');
      if (depth < MAX_DEPTH && !skip) found.push(...inFolder(path, depth + 1));
    } else if (isOurs(entry.name)) {
      found.push(path);
    }
  }
  return found;
}

function withPrefix(prefix: string): string[] {
  const start = basename(prefix);
  return list(dirname(prefix))
    .map((entry) => entry.name)
    .filter((name) => isOurs(name) && name.startsWith(start) && /^(_\d|\.)/.test(name.slice(start.length)))
    .map((name) => join(dirname(prefix), name));
}

interface Group {
  pid: number;
  dumps: { path: string; number: number }[];
  manifest: string | null;
}

/** Sorts paths of dumps and manifests by process. */
function group(paths: Iterable<string>): Map<string, Group> {
  const groups = new Map<string, Group>();
  const at = (id: string): Group => {
    const known = groups.get(id) ?? { pid: Number(PID.exec(id)?.[1] ?? 0), dumps: [], manifest: null };
    groups.set(id, known);
    return known;
  };
  for (const path of paths) {
    if (path.endsWith('.json')) {
      at(path.slice(0, -'.json'.length)).manifest = path;
    } else {
      const [, name = basename(path), number = '0'] = DUMP.exec(basename(path)) ?? [];
      at(join(dirname(path), name)).dumps.push({ path, number: Number(number) });
    }
  }
  return groups;
}

/** Undefined when there is nothing, also because a part of the path is a file. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') return undefined;
    throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `Cannot look at ${path} (${code}).`, { path, cause });
  }
}

function exists(path: string): boolean {
  return lookAt(path)?.isFile() ?? false;
}

/**
 * Finds dumps and manifests, and sorts them by process.
 *
 * @param paths each a folder (searched with the folders in it), a file, or a prefix as given to `forkheap run`.
 * @returns in the order of their pids.
 * @throws ForkheapError ERR_FORKHEAP_NO_FILES when a path leads to nothing.
 * @since 0.1.0
 */
export function findProcesses(paths: readonly string[]): ProcessFiles[] {
  const files = new Set<string>();
  const named = new Set<string>();
  for (const path of paths) {
    const info = lookAt(path);
    let found: string[];
    if (info?.isDirectory()) found = inFolder(path, 0);
    else if (info === undefined) found = withPrefix(path);
    else if (path.endsWith('.json')) found = withPrefix(path.slice(0, -'.json'.length));
    else {
      found = [path];
      named.add(path);
    }
    const dumps = [...group(found).values()].some((process) => process.dumps.length > 0);
    if (!dumps && !found.some((file) => file.endsWith('.json'))) {
      const what = info === undefined ? 'no file, folder or prefix of that name' : 'no .heap file in it';
      throw new ForkheapError(
        'ERR_FORKHEAP_NO_FILES',
        `Found no heap profiles at ${path}: ${what}. Give the folder, the files, or the prefix that forkheap run printed.`,
        { path },
      );
    }
    for (const file of found) files.add(file);
  }
  const processes = [...group(files)].map(([id, { pid, dumps, manifest }]): ProcessFiles => {
    const sorted = dumps.sort((a, b) => a.number - b.number || (a.path < b.path ? -1 : 1)).map((dump) => dump.path);
    const beside = `${id}.json`;
    return {
      id,
      pid,
      dumps: sorted,
      manifest: manifest ?? (pid !== 0 && exists(beside) ? beside : null),
      named: sorted.some((path) => named.has(path)),
    };
  });
  return processes.sort((a, b) => a.pid - b.pid || (a.id < b.id ? -1 : 1));
}
