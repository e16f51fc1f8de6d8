import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { packageRoot } from '#root';
import { ForkheapError } from '../errors.js';
import { howToRestore, nativeParts } from '../native-parts.js';

const soname = 'libtcmalloc_and_profiler.so.4';

/** Whether this process runs on the GNU C library. */
function usesGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime !== undefined;
}

/**
 * @throws {ForkheapError} ERR_FORKHEAP_UNSUPPORTED_PLATFORM anywhere but on Linux, x86-64, with the GNU C library
 */
export function requireSupportedPlatform(): void {
  const fail = (what: string): never => {
    throw new ForkheapError(
      'ERR_FORKHEAP_UNSUPPORTED_PLATFORM',
      `forkheap cannot run on ${what}: it profiles Node on Linux, x86-64, with the GNU C library. Profiles made there can be read anywhere with a Node on such a machine`,
    );
  };
  if (process.platform !== 'linux') fail(process.platform === 'darwin' ? 'macOS' : process.platform);
  if (process.arch !== 'x64') fail(`Linux on ${process.arch}`);
  // Making a report costs milliseconds; a loader at its usual place says the same.
  if (!existsSync('/lib64/ld-linux-x86-64.so.2') && !usesGlibc()) fail('Linux with musl');
}

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
    if (existsSync(asked)) return resolve(asked);
    throw new ForkheapError('ERR_FORKHEAP_NO_TCMALLOC', `FORKHEAP_TCMALLOC names ${asked}, which does not exist`, {
      path: asked,
    });
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

/**
 * A path that LD_PRELOAD can hold: it separates by spaces and colons and knows no quotes, so a file below a folder with one of
 * them is named through a symbolic link.
 */
export function preloadablePath(file: string): string {
  if (!/[\s:]/.test(file)) return file;
  const folder = join(tmpdir(), `forkheap-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const link = join(folder, `${createHash('sha256').update(file).digest('hex').slice(0, 16)}-${basename(file)}`);
  try {
    symlinkSync(file, link);
  } catch (cause) {
    if (readlinkSync(link) !== file) {
      throw new ForkheapError(
        'ERR_FORKHEAP_INVALID_ARGUMENT',
        `cannot make ${link}, a name without spaces for ${file}`,
        {
          path: link,
          cause,
        },
      );
    }
  }
  return link;
}
