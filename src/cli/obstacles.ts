import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { Machine, readElf } from '../elf.js';
import { ForkheapError } from '../errors.js';
import { which } from './which.js';

/** Why something cannot be profiled, and what to do about it: a sentence each. */
export interface Obstacle {
  message: string;
  advice: string;
}

const machines: Partial<Record<number, string>> = { [Machine.ARM64]: 'arm64' };

const isNode = (file: string): boolean => /^node(js)?\b/.test(basename(file));

/** AT_SECURE of this process: what the dynamic linker itself goes by, file capabilities included. */
export function isSecureProcess(): boolean {
  const AT_SECURE = 23n;
  try {
    const bytes = readFileSync('/proc/self/auxv');
    for (let at = 0; at + 16 <= bytes.length; at += 16) {
      if (bytes.readBigUInt64LE(at) === AT_SECURE) return bytes.readBigUInt64LE(at + 8) !== 0n;
    }
  } catch {
    // no /proc: nothing to say
  }
  return false;
}

/**
 * File capabilities; those count for everybody but root. getcap(8) tells, and where it is missing, as in slim images, a Node can be
 * asked itself.
 */
function capabilities(file: string): string {
  if (process.getuid?.() === 0) return '';
  if (file === realpathSync(process.execPath)) return isSecureProcess() ? 'as it runs' : '';
  const PATH = [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter);
  const env = { ...process.env, PATH };
  const { status, stdout, error } = spawnSync('getcap', [file], { env, encoding: 'utf8' });
  if (error === undefined) return status === 0 && stdout.startsWith(file) ? stdout.slice(file.length).trim() : '';
  if (!isNode(file)) return '';
  const ask = `const { isSecureProcess } = await import(${JSON.stringify(import.meta.url)}); console.log(isSecureProcess())`;
  const answer = spawnSync(file, ['--input-type=module', '-e', ask], { encoding: 'utf8' });
  return answer.stdout?.trim() === 'true' ? 'as it runs' : '';
}

/** The program that a script names in its first line; the file itself when it is none. */
function interpreterOf(file: string): string {
  const descriptor = openSync(file, 'r');
  const bytes = Buffer.alloc(256);
  const length = readSync(descriptor, bytes, 0, bytes.length, 0);
  closeSync(descriptor);
  const [line = ''] = bytes.toString('utf8', 0, length).split('\n', 1);
  const match = /^#!\s*(\S+)\s*(?:-S\s+)?(\S*)/.exec(line);
  if (match === null) return file;
  const [, program = '', argument = ''] = match;
  try {
    return basename(program) === 'env' && argument !== '' ? which(argument) : which(program);
  } catch {
    return file; // the system will say so
  }
}

function rights(file: string): Obstacle | null {
  const advice = 'The dynamic linker ignores LD_PRELOAD for it: profile a copy without these rights.';
  const info = statSync(file);
  const gains = (info.mode & 0o4000) !== 0 && info.uid !== process.getuid?.();
  const gainsGroup = (info.mode & 0o2000) !== 0 && info.gid !== process.getgid?.();
  if (gains || gainsGroup) return { message: `${file} is setuid or setgid`, advice };
  const found = capabilities(file);
  return found === '' ? null : { message: `${file} has file capabilities (${found})`, advice };
}

/**
 * What keeps a program from being profiled; null when nothing does. A program that is linked statically may start others that
 * can be profiled: it is an obstacle only when it is Node.
 */
export function programObstacle(path: string): Obstacle | null {
  let file: string;
  try {
    file = realpathSync(interpreterOf(path));
  } catch {
    return null; // the system will say so
  }
  const barred = rights(file);
  if (barred !== null) return barred;
  const elf = readElf(file, ['malloc']);
  if (elf === null) return null;
  if (elf.machine !== Machine.X86_64) {
    const machine = machines[elf.machine] ?? `machine ${elf.machine}`;
    return { message: `${file} is a program for ${machine}`, advice: 'forkheap profiles programs for x86-64 only.' };
  }
  if (/ld-musl/.test(elf.interpreter)) {
    return {
      message: `${file} is linked with musl`,
      advice: 'forkheap needs the GNU C library: use a Node that is built for it, for instance in a Debian container.',
    };
  }
  if (isNode(file) && elf.interpreter === '' && elf.needed.length === 0) {
    return {
      message: `${file} is linked statically`,
      advice: 'Nothing can be preloaded into it: use a Node that is linked dynamically, as the official ones are.',
    };
  }
  const sanitizer = elf.needed.find((name) => /^lib([atl]|hwa)san\.so/.test(name));
  if (sanitizer !== undefined || elf.defines.length > 0) {
    return {
      message: `${file} brings its own malloc${sanitizer === undefined ? '' : ` (${sanitizer})`}`,
      advice: 'Only one library can serve malloc: use a build without that allocator or sanitizer.',
    };
  }
  return null;
}

const allocators = /(jemalloc|mimalloc|lib(a|t|l|hwa)san|hoard|snmalloc|rpmalloc|scudo|libtcmalloc)/;
const ours = /forkheap|libtcmalloc_and_profiler/;

/** Another allocator in a value of LD_PRELOAD; null when there is none. */
export function preloadObstacle(value: string): Obstacle | null {
  const folders = [
    '/usr/lib/x86_64-linux-gnu',
    '/lib/x86_64-linux-gnu',
    '/usr/local/lib',
    '/usr/lib64',
    '/lib64',
    '/usr/lib',
  ];
  for (const entry of value.split(/[ :]+/).filter((name) => name !== '' && !ours.test(basename(name)))) {
    const file = entry.includes('/')
      ? entry
      : folders.map((folder) => join(folder, entry)).find((candidate) => existsSync(candidate));
    const serves = file === undefined ? undefined : readElf(file, ['malloc'])?.defines.includes('malloc');
    if (serves ?? allocators.test(basename(entry))) {
      return {
        message: `LD_PRELOAD holds another allocator, ${entry}`,
        advice: 'Only one library can serve malloc: take it out of LD_PRELOAD while you profile.',
      };
    }
  }
  return null;
}

/** Node's permission model keeps the addon from being loaded, and may keep the profile from being written. */
export function optionsObstacle(options: readonly string[]): Obstacle | null {
  const permission = options.find((option) => /^--(experimental-)?permission$/.test(option));
  if (permission === undefined || options.includes('--allow-addons')) return null;
  return {
    message: `Node is started with ${permission}, which keeps forkheap's addon from being loaded`,
    advice: 'Add --allow-addons and --allow-fs-read=* while you profile, or leave it out.',
  };
}

/** Without addons there are profiles, but no JavaScript names and no API. */
export function addonObstacle(options: readonly string[]): Obstacle | null {
  if (!options.includes('--no-addons')) return null;
  return {
    message: 'Node is started with --no-addons: JavaScript functions have no names, and the API cannot be used',
    advice: 'Leave it out while you profile.',
  };
}

/**
 * Refuses what cannot be profiled, before anything is started.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_UNSUPPORTED_PROGRAM
 */
export function requireProfilable(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  const firstScript = args.findIndex((arg) => !arg.startsWith('-'));
  const nodeArgs = isNode(file) ? args.slice(0, firstScript < 0 ? args.length : firstScript) : [];
  const obstacle =
    programObstacle(file) ??
    preloadObstacle(env.LD_PRELOAD ?? '') ??
    optionsObstacle([...(env.NODE_OPTIONS ?? '').split(/\s+/), ...nodeArgs]);
  if (obstacle === null) return;
  throw new ForkheapError('ERR_FORKHEAP_UNSUPPORTED_PROGRAM', `${obstacle.message}. ${obstacle.advice}`, {
    path: file,
  });
}
