import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { packageRoot } from '#root';
import { Machine, readElf } from '../elf.js';
import { ForkheapError } from '../errors.js';
import { howToRestore, nativeParts } from '../native-parts.js';

const soname = 'libtcmalloc_and_profiler.so.4';

/** Folders where distributions and `make install` put shared libraries, in the order of the loader. */
function libraryFolders(): string[] {
  return [
    ...(process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== ''),
    '/usr/lib/x86_64-linux-gnu',
    '/lib/x86_64-linux-gnu',
    '/usr/local/lib',
    '/usr/lib64',
    '/lib64',
    '/usr/lib',
  ];
}

/** That a file chosen by the user is gperftools' library for this machine: the loader only warns when it is not. */
function requireHeapProfiler(file: string): void {
  const fail = (what: string): never => {
    throw new ForkheapError('ERR_FORKHEAP_NO_TCMALLOC', `FORKHEAP_TCMALLOC names ${file}, ${what}`, { path: file });
  };
  if (!existsSync(file)) fail('which does not exist');
  const elf = readElf(file, ['malloc', 'HeapProfilerStart']);
  if (elf === null) fail('which is no shared library of 64 bits, or cannot be read');
  else if (elf.machine !== Machine.X86_64) fail('which is for another kind of machine');
  else if (elf.defines.length < 2)
    fail("which is not gperftools' libtcmalloc_and_profiler: it has no malloc() with a heap profiler");
}

/**
 * Finds gperftools' library: `FORKHEAP_TCMALLOC` if set (the word `system` stands for the one of this system), else the one
 * that came with this package, else in the loader's usual folders.
 *
 * @returns its absolute path
 * @throws {ForkheapError} ERR_FORKHEAP_NO_TCMALLOC
 */
export function findTcmalloc(): string {
  const asked = process.env.FORKHEAP_TCMALLOC;
  if (asked !== undefined && asked !== '' && asked !== 'system') {
    requireHeapProfiler(asked);
    return resolve(asked);
  }
  const bundled = join(nativeParts(), soname);
  if (asked !== 'system' && existsSync(bundled)) return bundled;
  for (const folder of libraryFolders()) {
    const file = join(folder, soname);
    if (existsSync(file)) return file;
  }
  throw new ForkheapError(
    'ERR_FORKHEAP_NO_TCMALLOC',
    `${soname} is not installed: install gperftools (Debian, Ubuntu: \`sudo apt-get install libgoogle-perftools4\`), or name the file in FORKHEAP_TCMALLOC`,
  );
}

/**
 * Checks that gperftools' library has a leak checker, before a process is started with it.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_NO_TCMALLOC, ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED
 */
export function requireLeakChecker(): void {
  const file = findTcmalloc();
  // The stub of 2.17 exports the class, too, but not what makes the real one start.
  if (readFileSync(file).includes('\0_ZN15HeapLeakChecker24BeforeConstructorsLockedEv\0')) return;
  throw new ForkheapError(
    'ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED',
    `${file} has no leak checker: gperftools 2.17 and later have a stub in its place that always says "no leaks". Name gperftools 2.10 (Debian 12) or 2.16 (Debian 13) in FORKHEAP_TCMALLOC, or use checkNativeLeaks(), which works with every version`,
    { path: file },
  );
}

/**
 * The preload library's path.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_BUILT
 */
export function findPreload(): string {
  const file = join(nativeParts(), 'forkheap_preload.so');
  if (existsSync(file)) return file;
  throw new ForkheapError(
    'ERR_FORKHEAP_NOT_BUILT',
    `forkheap's preload library is not there (${file} is missing): ${howToRestore()}`,
    { path: file },
  );
}

/** The script that `--require` loads in each followed Node process. */
export function registerScript(): string {
  return join(packageRoot, 'lib', 'register.cjs');
}

/** A folder for links that nobody else can write to: what is named there gets loaded. */
function linkFolder(): string {
  const folder = join(tmpdir(), `forkheap-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const info = lstatSync(folder);
  if (!info.isDirectory() || info.uid !== process.getuid?.() || (info.mode & 0o022) !== 0) {
    throw new ForkheapError('ERR_FORKHEAP_INVALID_ARGUMENT', `${folder} is not a folder of your own: remove it`, {
      path: folder,
    });
  }
  return folder;
}

const separators = /[\s:]/;

/**
 * A path that LD_PRELOAD can hold: it separates by spaces and colons and knows no quotes, so a file below a folder with one of
 * them is named through a symbolic link to that folder: a library finds its neighbours ($ORIGIN) through it, too.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT when no such link can be made
 */
export function preloadablePath(file: string): string {
  if (!separators.test(file)) return file;
  const name = basename(file);
  const target = separators.test(name) ? file : dirname(file);
  const hash = createHash('sha256').update(target).digest('hex').slice(0, 16);
  let link = hash;
  try {
    link = join(linkFolder(), hash);
    symlinkSync(target, link);
  } catch (cause) {
    if (cause instanceof ForkheapError) throw cause;
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST' || readlinkSync(link) !== target) {
      throw new ForkheapError(
        'ERR_FORKHEAP_INVALID_ARGUMENT',
        `cannot make ${link}, a name without spaces for ${target}: set TMPDIR to a folder that can be written and has none in its name`,
        { path: link, cause },
      );
    }
  }
  return target === file ? link : join(link, name);
}
