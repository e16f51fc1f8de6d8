import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { defaultPatience, requestDumps } from '../../capture/collect.js';
import { controlFile, resolvePrefix } from '../../capture/options.js';
import { ForkheapError } from '../../errors.js';
import { ExitStatus } from '../exit-status.js';
import { print, printJson } from '../output.js';
import { parseDuration } from '../quantities.js';

interface DumpFlags {
  timeout: number;
  json?: boolean;
}

/** The control files at a folder or prefix. */
function controlsAt(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [controlFile(resolvePrefix(path))];
  const found = readdirSync(path).filter((name) => name.endsWith('.control'));
  if (found.length > 0) return found.map((name) => join(path, name));
  throw new ForkheapError(
    'ERR_FORKHEAP_NO_FILES',
    `no process of a tree can be asked for dumps in ${path}: give the prefix or folder of forkheap run; a tree that forkheap check watches makes none`,
    {
      path,
    },
  );
}

/** `forkheap dump`: asks the running processes of a tree for a dump. */
export function dumpCommand(): Command {
  return new Command('dump')
    .summary('ask the running processes of a tree for a dump')
    .description('Ask every running process of a profiled tree for a dump, and wait until they have written it.')
    .argument('<path>', 'the prefix or folder that forkheap run was given or has made')
    .addOption(
      new Option('--timeout <time>', 'how long to wait')
        .argParser(parseDuration)
        .default(defaultPatience, `${defaultPatience / 1000}s`),
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap dump ./forkheap-20260131-235959 && forkheap top ./forkheap-20260131-235959`,
    )
    .action(async (path: string, flags: DumpFlags) => {
      const all = await Promise.all(controlsAt(path).map((control) => requestDumps(control, flags.timeout)));
      const answers = {
        answered: all.flatMap(({ answered }) => answered),
        failed: all.flatMap(({ failed }) => failed),
        silent: all.flatMap(({ silent }) => silent),
      };
      if (flags.json) printJson(answers);
      else {
        const line = (what: string, pids: number[]): string =>
          pids.length === 0 ? '' : `${what}: ${pids.join(', ')}\n`;
        print(
          line('written by', answers.answered) +
            line('could not be written by', answers.failed) +
            line('no answer from (a forked child answers at its next allocation)', answers.silent) ||
            'no process is running\n',
        );
      }
      if (answers.failed.length + answers.silent.length > 0) throw new ExitStatus(1);
    });
}
