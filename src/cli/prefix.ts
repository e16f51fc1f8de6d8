import { mkdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { requireWritable, resolvePrefix } from '../capture/options.js';
import { ForkheapError } from '../errors.js';
import { findProcesses } from '../files/find.js';

/** `forkheap-20260131-235959/node`: a folder of its own for each run. */
function freshPrefix(program: string): string {
  const now = new Date();
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  const time = `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
  for (let turn = 1; ; ++turn) {
    const folder = `forkheap-${day}-${time}${turn === 1 ? '' : `-${turn}`}`;
    try {
      mkdirSync(folder, { mode: 0o700 });
      return resolvePrefix(join(folder, basename(program).replace(/%/g, '%%')));
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'EEXIST') continue;
      if (cause instanceof ForkheapError) throw cause;
      throw new ForkheapError(
        'ERR_FORKHEAP_PREFIX_NOT_WRITABLE',
        `cannot make the folder ${folder} here (${code}): give a --prefix in a folder that can be written`,
        {
          path: folder,
          cause,
        },
      );
    }
  }
}

/** The files that lie under a prefix without placeholders. */
function olderFiles(prefix: string): string[] {
  if (prefix.includes('%')) return [];
  try {
    return findProcesses([prefix]).flatMap((process) => [
      ...process.dumps,
      ...(process.manifest === null ? [] : [process.manifest]),
    ]);
  } catch (error) {
    if (error instanceof ForkheapError && error.code === 'ERR_FORKHEAP_NO_FILES') return [];
    throw error;
  }
}

/** Where the files go: what `--prefix` says, without older files; or a new folder. */
export function choosePrefix(flags: { prefix?: string; force?: boolean }, program: string): string {
  if (flags.prefix === undefined) return freshPrefix(program);
  const prefix = resolvePrefix(flags.prefix);
  // Every other verb would read the folder in its place, and --force delete what is in it.
  if (statSync(prefix, { throwIfNoEntry: false })?.isDirectory()) {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_PREFIX',
      `prefix ${flags.prefix} is a folder: add the start of a file name, for instance ${join(flags.prefix, 'app')}`,
      { path: prefix },
    );
  }
  requireWritable(prefix);
  const older = olderFiles(prefix);
  if (older.length > 0 && flags.force !== true) {
    throw new ForkheapError(
      'ERR_FORKHEAP_PREFIX_IN_USE',
      `prefix ${flags.prefix} has files of an earlier run (${basename(older[0] ?? '')} …): give another prefix, or --force to delete them`,
      { path: prefix },
    );
  }
  for (const file of older) rmSync(file);
  return prefix;
}

/** What PATH of the other verbs finds these files again: the folder when the prefix has placeholders. */
export function pathFor(prefix: string): string {
  const at = prefix.indexOf('%');
  const path = at < 0 ? prefix : dirname(`${prefix.slice(0, at)}x`);
  const short = relative(process.cwd(), path);
  return short === '' ? '.' : short.startsWith('..') ? path : short;
}
