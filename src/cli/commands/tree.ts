import { Command, InvalidArgumentError, Option } from 'commander';
import type { Values } from '../../profile/model.js';
import { type TreeOptions, treeJson, treeText } from '../../report/tree.js';
import { parseCount } from '../options.js';
import { print, printJson, textOptions } from '../output.js';
import {
  addFilterOptions,
  asStacks,
  type FilterFlags,
  internalsOption,
  load,
  VALUES,
  valueOption,
} from '../report-options.js';

interface TreeFlags extends FilterFlags {
  value: string;
  inverted?: boolean;
  perProcess?: boolean;
  internals?: boolean;
  depth: number;
  minShare: number;
  json?: boolean;
}

function parseShare(text: string): number {
  const share = /^\d+(\.\d+)?%?$/.test(text) ? Number(text.replace('%', '')) : Number.NaN;
  if (!(share >= 0 && share <= 100)) throw new InvalidArgumentError('Give a share, for instance 1%.');
  return share / 100;
}

/** `forkheap tree`: who called whom. */
export function treeCommand(): Command {
  const command = new Command('tree')
    .summary('show the calls that lead to the memory, as a tree')
    .description(
      'Show the calls that lead to the memory as a tree, from the outermost function to the one that allocates.',
    )
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .addOption(valueOption())
    .option('--inverted', 'begin with the functions that allocate; their callers are below')
    .option('--per-process', 'a branch for each process')
    .addOption(internalsOption())
    .option('--depth <n>', 'deepest level, 0 for all', parseCount, 0)
    .addOption(new Option('--min-share <percent>', 'leave out what has less').argParser(parseShare).default(0.01, '1%'))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap tree ./profiles                          all processes together
  $ forkheap tree --package leveldown ./profiles      the calls that lead to one package
  $ forkheap tree --inverted --depth 3 ./profiles     who allocates, and for whom`,
    )
    .action(async (paths: string[], flags: TreeFlags) => {
      const { profile, symbols } = await load(paths, flags);
      const options: TreeOptions = {
        value: VALUES[flags.value] as keyof Values,
        inverted: flags.inverted === true,
        perProcess: flags.perProcess === true,
        depth: flags.depth,
        minShare: flags.minShare,
      };
      const stacks = asStacks(profile, flags);
      if (flags.json) printJson(treeJson(stacks, options));
      else print(treeText(stacks, symbols, options, textOptions()));
    });
  return addFilterOptions(command);
}
