#!/usr/bin/env node
import { CommanderError } from 'commander';
import { ForkheapError } from '../errors.js';
import { diffCommand } from './commands/diff.js';
import { doctorCommand } from './commands/doctor.js';
import { dumpCommand } from './commands/dump.js';
import { exportCommand } from './commands/export.js';
import { flamegraphCommand } from './commands/flamegraph.js';
import { lsCommand } from './commands/ls.js';
import { mergeCommand } from './commands/merge.js';
import { runCommand } from './commands/run.js';
import { topCommand } from './commands/top.js';
import { treeCommand } from './commands/tree.js';
import { ExitStatus } from './exit-status.js';
import { createProgram } from './program.js';

const USAGE = 2;

/** What a shell answers for these two. */
const STATUS: Partial<Record<string, number>> = {
  ERR_FORKHEAP_PROGRAM_NOT_FOUND: 127,
  ERR_FORKHEAP_PROGRAM_NOT_EXECUTABLE: 126,
};

function complain(message: string, code: string): void {
  process.stderr.write(`forkheap: ${message} [${code}]\n`);
}

/** Prints the error, if there is anything to say, and returns the exit status. */
function report(error: unknown): number {
  if (error instanceof ExitStatus) return error.status;
  if (error instanceof ForkheapError) {
    complain(error.message, error.code);
    return STATUS[error.code] ?? USAGE;
  }
  if (error instanceof CommanderError) {
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
  await createProgram([
    runCommand(),
    dumpCommand(),
    lsCommand(),
    topCommand(),
    treeCommand(),
    flamegraphCommand(),
    diffCommand(),
    mergeCommand(),
    exportCommand(),
    doctorCommand(),
  ]).parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
