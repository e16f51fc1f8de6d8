import { Command } from 'commander';
import { writeReport } from '../../files/write.js';
import { toPprof } from '../../report/pprof.js';
import { warn } from '../output.js';
import { addFilterOptions, type FilterFlags, load } from '../report-options.js';

interface MergeFlags extends FilterFlags {
  output: string;
  force?: boolean;
}

/** `forkheap merge`: many dumps, one file. */
export function mergeCommand(): Command {
  const command = new Command('merge')
    .summary('put the profiles of many processes into one file')
    .description(
      "Put the profiles of many processes into one file in pprof's format, with names: it can be read anywhere, by every " +
        'verb of forkheap and by go tool pprof.',
    )
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .requiredOption('-o, --output <file>', 'file to write, for instance merged.pb.gz')
    .option('--force', 'write over a file that exists')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap merge -o monday.pb.gz ./profiles
  $ forkheap top monday.pb.gz
  $ forkheap merge -o all.pb.gz host1/ host2/ monday.pb.gz`,
    )
    .action(async (paths: string[], flags: MergeFlags) => {
      const { profile } = await load(paths, flags);
      writeReport(flags.output, toPprof(profile), flags.force === true);
      warn(profile.warnings);
    });
  return addFilterOptions(command);
}
