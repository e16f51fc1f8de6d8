#!/usr/bin/env node
// Only what every Node.js can load is imported before it is known that this one is new enough.
import { ForkheapError, withCode } from '../errors.js';
import { isSupportedNode, wantedNode } from '../node-version.js';
import { ExitStatus } from './exit-status.js';

const USAGE = 2;

/** What a shell answers for these two. */
const STATUS: Partial<Record<string, number>> = {
  ERR_FORKHEAP_PROGRAM_NOT_FOUND: 127,
  ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE: 126,
};

function complain(message: string, code: string): void {
  process.stderr.write(`forkheap: ${withCode({ message, code })}\n`);
}

/** commander's CommanderError. */
function isUsageError(error: unknown): error is Error & { code: string; exitCode: number } {
  return error instanceof Error && 'exitCode' in error && 'code' in error;
}

/** Prints the error, if there is anything to say, and returns the exit status. */
function report(error: unknown): number {
  if (error instanceof ExitStatus) return error.status;
  if (error instanceof ForkheapError) {
    complain(error.message, error.code);
    return STATUS[error.code] ?? USAGE;
  }
  if (isUsageError(error)) {
    if (error.exitCode === 0) return 0;
    // Help was printed because no command was given.
    if (error.code !== 'commander.help') {
      complain(error.message.replace(/^error: /, '').replaceAll('\n', ' '), 'ERR_FORKHEAP_USAGE');
    }
    return USAGE;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`forkheap: this is a fault in forkheap itself, please report it:\n${text}\n`);
  return USAGE;
}

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

try {
  if (!isSupportedNode(process.versions.node)) {
    throw new ForkheapError(
      'ERR_FORKHEAP_UNSUPPORTED_PLATFORM',
      `forkheap cannot run on Node.js ${process.versions.node}: use ${wantedNode} or newer`,
    );
  }
  const { createProgram } = await import('./program.js');
  const { commands } = await import('./commands.js');
  await createProgram(commands()).parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
