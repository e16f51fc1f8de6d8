import { readElf } from './elf.js';
import { ForkheapError } from './errors.js';

/** What forkheap runs on, as far as it matters. */
export interface Platform {
  platform: string;
  arch: string;
  /** The dynamic linker of Node's executable, which tells the C library; empty when that is not known. */
  interpreter: string;
}

/** This process. Its executable may be gone from its path by now. */
export function thisPlatform(): Platform {
  const interpreter = process.platform === 'linux' ? (readElf('/proc/self/exe')?.interpreter ?? '') : '';
  return { platform: process.platform, arch: process.arch, interpreter };
}

/** Why programs cannot be profiled here; null when they can. */
export function platformObstacle({ platform, arch, interpreter }: Platform): string | null {
  const musl = interpreter.includes('ld-musl');
  let here = '';
  if (platform !== 'linux') here = platform === 'darwin' ? 'macOS' : platform;
  else if (arch !== 'x64') here = `Linux on ${arch}`;
  else if (musl) here = 'Linux with musl';
  if (here === '') return null;
  const instead = musl
    ? 'use an image with the GNU C library, such as node:22-slim'
    : platform === 'linux'
      ? 'its stack walk is written for x86-64 only'
      : 'use a container, or another machine';
  return `forkheap cannot profile on ${here}: it profiles Node on Linux, x86-64, with the GNU C library (${instead}). Profiles made there can be read here`;
}

/**
 * @throws {ForkheapError} ERR_FORKHEAP_UNSUPPORTED_PLATFORM anywhere but on Linux, x86-64, with the GNU C library
 */
export function requireSupportedPlatform(where: Platform = thisPlatform()): void {
  const obstacle = platformObstacle(where);
  if (obstacle !== null) throw new ForkheapError('ERR_FORKHEAP_UNSUPPORTED_PLATFORM', obstacle);
}
