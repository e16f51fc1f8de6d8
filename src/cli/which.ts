import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ForkheapError } from '../errors.js';

/** Undefined when there is no such file, or its folder is closed to us. */
function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds a program as a shell does.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_PROGRAM_NOT_FOUND, ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE
 */
export function which(program: string, path = process.env.PATH ?? ''): string {
  const candidates = program.includes('/')
    ? [program]
    : path.split(delimiter).map((folder) => join(folder || '.', program));
  const files = candidates.filter((file) => look(file)?.isFile() === true);
  const found = files.find((file) => isExecutable(file));
  if (found !== undefined) return found;
  const [unusable = candidates.find((file) => program.includes('/') && look(file) !== undefined)] = files;
  if (unusable !== undefined) {
    throw new ForkheapError(
      'ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE',
      `${unusable} cannot be executed: give a program, for instance node ${unusable}`,
      {
        path: unusable,
      },
    );
  }
  throw new ForkheapError(
    'ERR_FORKHEAP_PROGRAM_NOT_FOUND',
    `program ${program} not found: check its spelling and PATH`,
  );
}
