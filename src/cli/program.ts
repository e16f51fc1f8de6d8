import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { packageRoot } from '#root';

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'));
  return (manifest as { version: string }).version;
}

/** The command line, which throws a CommanderError instead of printing an error and ending the process. */
export function createProgram(commands: readonly Command[]): Command {
  const program = new Command('forkheap')
    .description('Native heap profiles of Node.js services and every process they fork.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showSuggestionAfterError(true)
    .enablePositionalOptions()
    .exitOverride()
    // main.ts prints errors, once.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap run -- node server.js      profile a program and every process below it
  $ forkheap top ./profiles             which function holds the memory
  $ forkheap doctor                     is everything here that is needed`,
    );
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  return program;
}
