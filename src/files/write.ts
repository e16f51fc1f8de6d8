import { writeFileSync } from 'node:fs';
import { ForkheapError } from '../errors.js';

/**
 * Writes a report's file, readable by its owner only: it shows paths and command lines.
 *
 * @throws ForkheapError ERR_FORKHEAP_WRITE_FAILED when it exists and `force` is not set, or cannot be written.
 */
export function writeReport(path: string, content: string | Uint8Array, force: boolean): void {
  try {
    writeFileSync(path, content, { mode: 0o600, flag: force ? 'w' : 'wx' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message =
      code === 'EEXIST'
        ? `${path} exists: give another name, or --force to write over it.`
        : `Cannot write ${path} (${code}).`;
    throw new ForkheapError('ERR_FORKHEAP_WRITE_FAILED', message, { path, cause });
  }
}
