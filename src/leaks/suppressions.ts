import { readFileSync } from 'node:fs';
import { ForkheapError } from '../errors.js';
import type { LeakFrame } from './finding.js';

/**
 * A line of a suppressions file.
 *
 * @since 0.1.0
 */
export interface Suppression {
  /** As it was written. */
  readonly pattern: string;
  /** The file that it comes from; empty when from none. */
  readonly file: string;
  /** Its line there, from 1. */
  readonly line: number;
  /** Whether it holds for a text. */
  matches(text: string): boolean;
}

const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** A pattern is part of a text, `*` is any text, `^` and `$` are its beginning and end. */
function toRegExp(pattern: string): RegExp {
  const begins = pattern.startsWith('^');
  const ends = pattern.length > 1 && pattern.endsWith('$');
  const middle = pattern.slice(begins ? 1 : 0, ends ? -1 : undefined);
  const body = middle.split('*').map(escapeRegExp).join('.*');
  return new RegExp(`${begins ? '^' : ''}${body}${ends ? '$' : ''}`, 's');
}

/**
 * Parses suppressions in LeakSanitizer's syntax: a line `leak:PATTERN` each, and lines that begin with `#`.
 *
 * @param text the file's content
 * @param file its path, for messages
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, with the line.
 * @since 0.1.0
 */
export function parseSuppressions(text: string, file = ''): Suppression[] {
  const found: Suppression[] = [];
  for (const [i, raw] of text.split('\n').entries()) {
    const entry = raw.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const pattern = /^leak:(.+)$/.exec(entry)?.[1]?.trim();
    if (pattern === undefined) {
      throw new ForkheapError(
        'ERR_FORKHEAP_BAD_FILE',
        `${file === '' ? 'suppressions' : file}:${i + 1}: "${entry}" is no suppression: write leak:PATTERN, where PATTERN is part of the name of a function, a source file or a library.`,
        { line: i + 1, ...(file === '' ? {} : { path: file }) },
      );
    }
    const regexp = toRegExp(pattern);
    found.push({ pattern, file, line: i + 1, matches: (candidate) => regexp.test(candidate) });
  }
  return found;
}

/**
 * Reads a suppressions file.
 *
 * @throws ForkheapError ERR_FORKHEAP_NO_FILES, ERR_FORKHEAP_BAD_FILE
 * @since 0.1.0
 */
export function readSuppressions(file: string): Suppression[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `${file}: cannot read this suppressions file (${code}).`, {
      path: file,
      cause,
    });
  }
  return parseSuppressions(text, file);
}

/**
 * The first suppression that holds for a stack: for the function, the source file or the library of one of its frames, as in
 * LeakSanitizer.
 *
 * @param stack symbolized
 * @since 0.1.0
 */
export function suppressionFor(
  stack: readonly LeakFrame[],
  suppressions: readonly Suppression[],
): Suppression | undefined {
  return suppressions.find((suppression) =>
    stack.some(({ name, file, mapping }) =>
      [name, file, mapping].some((text) => text !== '' && suppression.matches(text)),
    ),
  );
}
