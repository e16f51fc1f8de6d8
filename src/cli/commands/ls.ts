import { Command } from 'commander';
import { listProcesses } from '../../files/list.js';
import { lsJson, lsText } from '../../report/ls.js';
import { processesAt } from '../options.js';
import { print, printJson, textOptions } from '../output.js';

interface LsFlags {
  json?: boolean;
}

/** `forkheap ls`: processes and dumps found. */
export function lsCommand(): Command {
  return new Command('ls')
    .summary('list profiled processes and their dumps')
    .description('List the profiled processes and their dumps, as a tree.')
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap ls ./profiles
  $ forkheap ls ./profiles/server --json`,
    )
    .action(async (paths: string[], flags: LsFlags) => {
      const list = listProcesses(processesAt(paths));
      if (flags.json) printJson(lsJson(list));
      else print(lsText(list, textOptions()));
    });
}
