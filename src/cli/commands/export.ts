import { Command, Option } from 'commander';
import { writeReport } from '../../files/write.js';
import type { Values } from '../../profile/model.js';
import { exportProfile, FORMATS, type Format } from '../formats.js';
import { warn } from '../output.js';
import {
  addFilterOptions,
  asStacks,
  type FilterFlags,
  internalsOption,
  load,
  VALUES,
  valueOption,
} from '../report-options.js';

interface ExportFlags extends FilterFlags {
  to: Format;
  output: string;
  value: string;
  internals?: boolean;
  force?: boolean;
}

/** `forkheap export`: for other programs. */
export function exportCommand(): Command {
  const command = new Command('export')
    .summary('write the profile in the format of another program')
    .description(
      'Write the profile, with names, in the format of another program: pprof (go tool pprof, Pyroscope, Parca), ' +
        'speedscope, collapsed (flamegraph.pl, inferno), heapprofile (DevTools, VS Code), dhat (dh_view, Firefox Profiler).',
    )
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .addOption(new Option('--to <format>', 'format').choices(FORMATS).makeOptionMandatory())
    .requiredOption('-o, --output <file>', 'file to write')
    .addOption(valueOption('value for the formats that have room for one only'))
    .addOption(internalsOption())
    .option('--force', 'write over a file that exists')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap export --to pprof -o heap.pb.gz ./profiles && go tool pprof -http=: heap.pb.gz
  $ forkheap export --to speedscope -o heap.speedscope.json ./profiles
  $ forkheap export --to heapprofile -o heap.heapprofile ./profiles`,
    )
    .action(async (paths: string[], flags: ExportFlags) => {
      const { profile } = await load(paths, flags);
      const value = VALUES[flags.value] as keyof Values;
      writeReport(flags.output, exportProfile(asStacks(profile, flags), flags.to, value), flags.force === true);
      warn(profile.warnings);
    });
  return addFilterOptions(command);
}
