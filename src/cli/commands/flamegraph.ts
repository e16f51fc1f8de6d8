import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { writeReport } from '../../files/write.js';
import { toFlamegraphHtml } from '../../report/flamegraph.js';
import { print, warn } from '../output.js';
import { addFilterOptions, type FilterFlags, internalsOption, load, parseDump } from '../report-options.js';

interface FlamegraphFlags extends FilterFlags {
  output?: string;
  baseline?: string[];
  baseDump?: FilterFlags['dump'];
  internals?: boolean;
  title?: string;
  force?: boolean;
}

/** `forkheap-flamegraph-server.html` for profiles/server. */
function defaultName(path: string): string {
  const name = basename(path).replace(/(\.\d+)?\.heap$|\.json$|\.pb(\.gz)?$|\.pprof$/, '');
  return `forkheap-flamegraph-${/^[.]*$/.test(name) ? 'report' : name}.html`;
}

const list = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

/** `forkheap flamegraph`: a report to look at. */
export function flamegraphCommand(): Command {
  const command = new Command('flamegraph')
    .summary('write an HTML report with a flame graph')
    .description('Write one HTML file with a flame graph and tables. It needs no network.')
    .argument('<path...>', 'folders, files, or the prefix that forkheap run printed')
    .option('-o, --output <file>', 'file to write (default: forkheap-flamegraph-<name>.html)')
    .option('--baseline <path>', 'compare with this profile: growth is red (repeatable)', list)
    .addOption(
      new Option('--base-dump <which>', 'which dump of the baseline (default: that of --dump)').argParser(parseDump),
    )
    .addOption(internalsOption())
    .option('--title <text>', 'title of the report')
    .option('--force', 'write over a file that exists')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap flamegraph -o report.html ./profiles
  $ forkheap flamegraph --baseline monday.pb.gz ./profiles
  $ forkheap flamegraph --baseline ./profiles --base-dump first ./profiles   growth within a run`,
    )
    .action(async (paths: string[], flags: FlamegraphFlags) => {
      const { profile } = await load(paths, flags);
      const { pid: _, ...others } = flags;
      const baseline =
        flags.baseline === undefined
          ? undefined
          : await load(flags.baseline, { ...others, dump: flags.baseDump ?? flags.dump });
      const html = toFlamegraphHtml(profile, {
        internals: flags.internals === true,
        ...(baseline === undefined ? {} : { baseline: baseline.profile }),
        ...(flags.title === undefined ? {} : { title: flags.title }),
      });
      const output = flags.output ?? defaultName(paths[0] as string);
      writeReport(output, html, flags.force === true);
      warn(profile.warnings);
      print(`${output}\n`);
    });
  return addFilterOptions(command);
}
