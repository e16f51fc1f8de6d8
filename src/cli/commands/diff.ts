import { Command, Option } from 'commander';
import { ForkheapError } from '../../errors.js';
import { writeReport } from '../../files/write.js';
import { diffProfiles } from '../../profile/diff.js';
import type { Values } from '../../profile/model.js';
import { GROUPS, type GroupBy } from '../../report/rows.js';
import { type TopOptions, topJson, topText } from '../../report/top.js';
import { exportProfile, type Format, SIGNED_FORMATS } from '../formats.js';
import { parseCount } from '../options.js';
import { print, printJson, textOptions, warn } from '../output.js';
import {
  addFilterOptions,
  asStacks,
  type FilterFlags,
  internalsOption,
  parseDump,
  prepare,
  readWith,
  VALUES,
} from '../report-options.js';

const DEFAULT_ROWS = 20;

interface DiffFlags extends FilterFlags {
  by: GroupBy;
  sort: string;
  cumulative?: boolean;
  limit?: number;
  json?: boolean;
  baseDump?: FilterFlags['dump'];
  to?: Format;
  output?: string;
  internals?: boolean;
  force?: boolean;
}

/** BASE and NEW: two paths, or two lists with `--` between them. */
function sides(paths: readonly string[]): [string[], string[]] {
  const raw = process.argv.slice(2);
  const at = raw.indexOf('--');
  if (at >= 0) {
    const after = raw.slice(at + 1);
    const before = paths.slice(0, paths.length - after.length);
    if (before.length > 0 && after.length > 0) return [before, after];
  } else if (paths.length === 2) {
    return [[paths[0] as string], [paths[1] as string]];
  }
  throw new ForkheapError('ERR_FORKHEAP_USAGE', 'Give two profiles: forkheap diff BASE NEW, or BASE… -- NEW….');
}

/** `forkheap diff`: what has been added since. */
export function diffCommand(): Command {
  const command = new Command('diff')
    .summary('show what one profile has more than another')
    .description(
      'Show what NEW has more than BASE, and with a minus what it has less: by function, largest growth first. ' +
        'The same path twice with --base-dump first compares the first dump of each process with its latest.',
    )
    .argument('<path...>', 'BASE NEW, or BASE… -- NEW…')
    .addOption(new Option('--by <what>', 'what a row is').choices(GROUPS).default('function'))
    .addOption(
      new Option('--sort <value>', 'value to show and sort by').choices(Object.keys(VALUES)).default('inuse-space'),
    )
    .option('--cumulative', 'sort by what a function and all it calls allocated')
    .option('--limit <n>', `rows, 0 for all (default: ${DEFAULT_ROWS}; with --json all)`, parseCount)
    .addOption(
      new Option('--base-dump <which>', 'which dump of each process of BASE (default: that of --dump)').argParser(
        parseDump,
      ),
    )
    .addOption(new Option('--to <format>', 'write a file instead').choices(SIGNED_FORMATS))
    .option('-o, --output <file>', 'file to write, with --to')
    .addOption(internalsOption())
    .option('--force', 'write over a file that exists')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap diff before.pb.gz ./profiles
  $ forkheap diff ./profiles ./profiles --base-dump first    growth within a run
  $ forkheap diff a_1.0001.heap a_2.0001.heap -- b_1.0001.heap b_2.0001.heap`,
    )
    .action(async (paths: string[], flags: DiffFlags) => {
      const [base, changed] = sides(paths);
      if ((flags.to === undefined) !== (flags.output === undefined)) {
        throw new ForkheapError('ERR_FORKHEAP_USAGE', 'Give --to and -o together.');
      }
      const before = readWith(base, { ...flags, dump: flags.baseDump ?? flags.dump });
      const { profile, symbols } = await prepare(diffProfiles(before, readWith(changed, flags)), flags);
      const sort = VALUES[flags.sort] as keyof Values;
      if (flags.to !== undefined && flags.output !== undefined) {
        writeReport(flags.output, exportProfile(asStacks(profile, flags), flags.to, sort), flags.force === true);
        warn(profile.warnings);
        return;
      }
      const limit = flags.limit ?? (flags.json ? 0 : DEFAULT_ROWS);
      const options: TopOptions = {
        by: flags.by,
        sort,
        cumulative: flags.cumulative === true,
        limit,
        perProcess: false,
        signed: true,
      };
      if (flags.json) printJson(topJson(profile, symbols, options));
      else print(topText(profile, symbols, options, textOptions()));
    });
  return addFilterOptions(command);
}
