import { Command, Option } from 'commander';
import type { Values } from '../../profile/model.js';
import { GROUPS, type GroupBy } from '../../report/rows.js';
import { type TopOptions, topJson, topText } from '../../report/top.js';
import { parseCount } from '../options.js';
import { print, printJson, textOptions } from '../output.js';
import { addFilterOptions, type FilterFlags, load, VALUES } from '../report-options.js';

const DEFAULT_ROWS = 20;
const DEFAULT_ROWS_PER_PROCESS = 5;

interface TopFlags extends FilterFlags {
  by: GroupBy;
  sort: string;
  cumulative?: boolean;
  limit?: number;
  perProcess?: boolean;
  json?: boolean;
}

/** For people as many rows as fit, for programs all, unless they say how many. */
function rowLimit(flags: TopFlags): number {
  if (flags.limit !== undefined) return flags.limit;
  if (flags.json) return 0;
  return flags.perProcess ? DEFAULT_ROWS_PER_PROCESS : DEFAULT_ROWS;
}

/** `forkheap top`: who allocated. */
export function topCommand(): Command {
  const command = new Command('top')
    .summary('show which functions, files or packages hold the memory')
    .description(
      "Show which functions, files, packages or processes hold the memory, from each process's newest dump. " +
        'malloc, operator new and their like are never shown: their caller is.',
    )
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .addOption(new Option('--by <what>', 'what a row is').choices(GROUPS).default('function'))
    .addOption(
      new Option('--sort <value>', 'value to show and sort by').choices(Object.keys(VALUES)).default('inuse-space'),
    )
    .option('--cumulative', 'sort by what a function and all it calls allocated')
    .option('--limit <n>', `rows of a table, 0 for all (default: ${DEFAULT_ROWS}; with --json all)`, parseCount)
    .option('--per-process', `a table for each process (${DEFAULT_ROWS_PER_PROCESS} rows unless --limit is given)`)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap top ./profiles                        functions, all processes together
  $ forkheap top ./profiles --per-process          the first rows of each process
  $ forkheap top ./profiles --by package           which npm package
  $ forkheap top ./profiles --by javascript        which line of JavaScript asked for it
  $ forkheap top ./profiles --sort alloc-objects   who allocates most often`,
    )
    .action(async (paths: string[], flags: TopFlags) => {
      const { profile, symbols } = await load(paths, flags);
      const options: TopOptions = {
        by: flags.by,
        sort: VALUES[flags.sort] as keyof Values,
        cumulative: flags.cumulative === true,
        limit: rowLimit(flags),
        perProcess: flags.perProcess === true,
      };
      if (flags.json) printJson(topJson(profile, symbols, options));
      else print(topText(profile, symbols, options, textOptions()));
    });
  return addFilterOptions(command);
}
