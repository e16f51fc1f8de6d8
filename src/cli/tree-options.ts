import { type Command, Option } from 'commander';

/** What `run` and `check` can be told about the tree of processes, and where its files go. */
export interface TreeFlags {
  prefix?: string;
  force?: boolean;
  children: 'all' | 'none';
  include?: string[];
  exclude?: string[];
  javascript: boolean;
}

/** Adds up a repeatable option. */
export const list = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

/** Adds the options of {@link TreeFlags}; `files`: what lies under the prefix, `verb`: what is done to processes. */
export function addTreeOptions(command: Command, { files, verb }: { files: string; verb: string }): Command {
  return command
    .option(
      '--prefix <path>',
      `${files} are <path>_<pid>.NNNN.heap; %p pid, %h host, %e program (default: a new folder)`,
    )
    .option('--force', 'delete the files that an earlier run left under the same prefix')
    .addOption(
      new Option('--children <which>', `${verb} the processes that the program starts`)
        .choices(['all', 'none'])
        .default('all'),
    )
    .option(
      '--include <pattern>',
      'only processes with an argument like this, for instance "worker*.js" (repeatable)',
      list,
    )
    .option('--exclude <pattern>', 'no processes with an argument like this (repeatable)', list)
    .option('--no-javascript', 'do not name JavaScript functions in stacks (saves some start-up time and memory)');
}

/** The variables that filter processes. */
export function filterVariables({ include, exclude }: TreeFlags): Record<string, string> {
  return {
    ...(include === undefined ? {} : { FORKHEAP_INCLUDE: include.join('\n') }),
    ...(exclude === undefined ? {} : { FORKHEAP_EXCLUDE: exclude.join('\n') }),
  };
}
