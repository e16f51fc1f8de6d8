import { Command, Option } from 'commander';
import { readLatest } from '../../files/read.js';
import type { Values } from '../../profile/model.js';
import type { GroupBy } from '../../report/rows.js';
import { type TopOptions, topJson, topText } from '../../report/top.js';
import { symbolize } from '../../symbolize/symbolize.js';
import { parseCount, parsePid, processesAt } from '../options.js';
import { print, printJson, textOptions } from '../output.js';

const GROUPS: GroupBy[] = ['function', 'line', 'mapping', 'package', 'process'];
const SORTS: Record<string, keyof Values> = {
  'inuse-space': 'inuseSpace',
  'inuse-objects': 'inuseObjects',
  'alloc-space': 'allocSpace',
  'alloc-objects': 'allocObjects',
};
const DEFAULT_ROWS = 20;
const DEFAULT_ROWS_PER_PROCESS = 5;

interface TopFlags {
  by: GroupBy;
  sort: string;
  cumulative?: boolean;
  limit?: number;
  pid?: number[];
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
  return new Command('top')
    .summary('show which functions, files or packages hold the memory')
    .description(
      "Show which functions, files, packages or processes hold the memory, from each process's newest dump. " +
        'malloc, operator new and their like are never shown: their caller is.',
    )
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .addOption(new Option('--by <what>', 'what a row is').choices(GROUPS).default('function'))
    .addOption(
      new Option('--sort <value>', 'value to show and sort by').choices(Object.keys(SORTS)).default('inuse-space'),
    )
    .option('--cumulative', 'sort by what a function and all it calls allocated')
    .option('--limit <n>', `rows of a table, 0 for all (default: ${DEFAULT_ROWS}; with --json all)`, parseCount)
    .option('--pid <pid>', 'only this process (repeatable)', parsePid)
    .option('--per-process', `a table for each process (${DEFAULT_ROWS_PER_PROCESS} rows unless --limit is given)`)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap top ./profiles                        functions, all processes together
  $ forkheap top ./profiles --per-process          the first rows of each process
  $ forkheap top ./profiles --by package           which npm package
  $ forkheap top ./profiles --sort alloc-objects   who allocates most often`,
    )
    .action(async (paths: string[], flags: TopFlags) => {
      const profile = readLatest(processesAt(paths, flags.pid));
      const symbols = await symbolize(profile);
      const warnings = symbols.error === null ? [] : [`${symbols.error.message} [${symbols.error.code}]`];
      const reported = { ...profile, warnings: [...profile.warnings, ...warnings] };
      const options: TopOptions = {
        by: flags.by,
        sort: SORTS[flags.sort] as keyof Values,
        cumulative: flags.cumulative === true,
        limit: rowLimit(flags),
        perProcess: flags.perProcess === true,
      };
      if (flags.json) printJson(topJson(reported, symbols, options));
      else print(topText(reported, symbols, options, textOptions()));
    });
}
