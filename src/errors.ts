/**
 * Every code that a {@link ForkheapError} can carry. Codes are stable: a code is never renamed or given a second meaning.
 *
 * @since 0.1.0
 */
export type ForkheapErrorCode =
  | 'ERR_FORKHEAP_UNSUPPORTED_PLATFORM'
  | 'ERR_FORKHEAP_NO_TCMALLOC'
  | 'ERR_FORKHEAP_NOT_BUILT'
  | 'ERR_FORKHEAP_NOT_PRELOADED'
  | 'ERR_FORKHEAP_ALREADY_RUNNING'
  | 'ERR_FORKHEAP_NOT_RUNNING'
  | 'ERR_FORKHEAP_INVALID_ARGUMENT'
  | 'ERR_FORKHEAP_INVALID_PREFIX'
  | 'ERR_FORKHEAP_PREFIX_NOT_WRITABLE'
  | 'ERR_FORKHEAP_PREFIX_IN_USE'
  | 'ERR_FORKHEAP_DUMP_FAILED'
  | 'ERR_FORKHEAP_NO_FILES'
  | 'ERR_FORKHEAP_BAD_FILE'
  | 'ERR_FORKHEAP_FILE_TOO_LARGE'
  | 'ERR_FORKHEAP_WRITE_FAILED'
  | 'ERR_FORKHEAP_SYMBOLIZER'
  | 'ERR_FORKHEAP_LEAKS'
  | 'ERR_FORKHEAP_LEAKS_UNKNOWN'
  | 'ERR_FORKHEAP_RERUN_FAILED'
  | 'ERR_FORKHEAP_USAGE'
  | 'ERR_FORKHEAP_PROGRAM_NOT_FOUND'
  | 'ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE'
  | 'ERR_FORKHEAP_UNSUPPORTED_PROGRAM'
  | 'ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED'
  | 'ERR_FORKHEAP_LEAK_CHECKER_INACTIVE'
  | 'ERR_FORKHEAP_NOT_MAIN_THREAD'
  | 'ERR_FORKHEAP_NOT_CHECKED'
  | 'ERR_FORKHEAP_ALREADY_CHECKED'
  | 'ERR_FORKHEAP_LEAK_CHECK_OVER'
  | 'ERR_FORKHEAP_LEAK_CHECK_FAILED'
  | 'ERR_FORKHEAP_NOT_IGNORED';

/** Where an error happened, when it has a place. */
export interface ForkheapErrorDetails {
  /** The file or folder it is about. */
  path?: string;
  /** The line of `path`, from 1. */
  line?: number;
  /** The system's own error behind it. */
  cause?: unknown;
}

/**
 * The one error class of this package. `code` says what happened and stays the same from version to version; `message` says
 * what to do about it.
 *
 * @since 0.1.0
 */
export class ForkheapError extends Error {
  override readonly name = 'ForkheapError';
  readonly code: ForkheapErrorCode;
  readonly path: string | undefined;
  readonly line: number | undefined;

  constructor(code: ForkheapErrorCode, message: string, details: ForkheapErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.path = details.path;
    this.line = details.line;
  }
}

/** An error as a sentence in a report: what it says, and its code. */
export const withCode = ({ message, code }: { message: string; code: string }): string => `${message} [${code}]`;
