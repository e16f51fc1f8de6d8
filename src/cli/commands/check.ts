import { rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { heapProfileEnv, LEAK_CHECK_MODES, type LeakCheckMode } from '../../capture/environment.js';
import { runProgram } from '../../capture/run.js';
import { ForkheapError } from '../../errors.js';
import { findProcesses } from '../../files/find.js';
import { withManifests } from '../../files/read.js';
import { writeReport } from '../../files/write.js';
import { builtinSuppressions } from '../../leaks/builtin.js';
import { readSuppressions, type Suppression } from '../../leaks/suppressions.js';
import { judgeTree, type TreeLeaks } from '../../leaks/tree.js';
import { mergeProfiles } from '../../profile/merge.js';
import { toFlamegraphHtml } from '../../report/flamegraph.js';
import { leaksGithub, leaksJson, leaksText } from '../../report/leaks.js';
import { ExitStatus } from '../exit-status.js';
import { requireProfilable } from '../obstacles.js';
import { parseCount } from '../options.js';
import { print, printJson, textOptions } from '../output.js';
import { choosePrefix, pathFor } from '../prefix.js';
import { addTreeOptions, filterVariables, list, type TreeFlags } from '../tree-options.js';
import { which } from '../which.js';

interface CheckFlags extends TreeFlags {
  mode: LeakCheckMode;
  suppressions?: string[];
  builtin: boolean;
  owners: 'addons' | 'all';
  format: 'text' | 'json' | 'github';
  json?: boolean;
  html?: string;
  limit: number;
}

/** 1 when any process has leaked, 0 when none has, 2 when nobody can tell. */
const STATUS = { leaked: 1, clean: 0, unknown: 2 } as const;

function suppressionsOf(flags: CheckFlags): Suppression[] {
  const own = (flags.suppressions ?? []).flatMap((file) => readSuppressions(file));
  return flags.builtin ? [...builtinSuppressions(), ...own] : own;
}

function report(tree: TreeLeaks, flags: CheckFlags): void {
  if (flags.format === 'json') printJson(leaksJson(tree));
  else if (flags.format === 'github') print(leaksGithub(tree, process.cwd()));
  if (flags.format !== 'json') process.stderr.write(leaksText(tree, textOptions(process.stderr), flags.limit));
  if (flags.html === undefined) return;
  const html = toFlamegraphHtml(mergeProfiles(tree.profiles), { title: 'lost blocks' });
  writeReport(flags.html, html, flags.force === true);
}

/** Reads the tree; a run in which no process was checked is one of which nobody can tell. */
async function judge(path: string, flags: CheckFlags, suppressions: readonly Suppression[]): Promise<TreeLeaks> {
  try {
    return await judgeTree(withManifests(findProcesses([path])), { owners: flags.owners, suppressions });
  } catch (error) {
    if (!(error instanceof ForkheapError) || error.code !== 'ERR_FORKHEAP_NO_FILES') throw error;
    const warning =
      'no process of this run was a Node process that could be checked; `forkheap doctor` says what to look at';
    return { processes: [], verdict: 'unknown', profiles: [], warnings: [warning] };
  }
}

/** `forkheap check`: a program and every process below it, watched by gperftools' leak checker. */
export function checkCommand(): Command {
  const command = new Command('check')
    .summary('check a program and every process below it for lost memory')
    .description(
      "Run a program with gperftools' leak checker in it and in every Node process below it, and say what native memory was lost.",
    )
    .argument('<program>', 'program to run')
    .argument('[args...]', 'its arguments')
    .passThroughOptions();
  return addTreeOptions(command, { files: 'reports', verb: 'check' })
    .addOption(
      new Option('--mode <mode>', 'how much is checked (local: only what HeapLeakChecker is asked for)')
        .choices(LEAK_CHECK_MODES)
        .default('normal'),
    )
    .option('--suppressions <file>', "lines leak:PATTERN, as LeakSanitizer's (repeatable)", list)
    .option('--no-builtin', 'without the suppressions that come with forkheap')
    .addOption(
      new Option('--owners <which>', 'whose losses count: of addons, or also of Node, V8 and system libraries')
        .choices(['addons', 'all'])
        .default('addons'),
    )
    .addOption(
      new Option('--format <format>', 'json and github go to stdout')
        .choices(['text', 'json', 'github'])
        .default('text'),
    )
    .option('--json', "the same as --format json; the program's stdout goes to stderr")
    .option('--html <file>', 'write a flame graph of what was lost')
    .addOption(new Option('--limit <n>', 'places shown of each check').argParser(parseCount).default(10))
    .addHelpText(
      'after',
      `
Ends with 1 when any process has leaked, with 0 when none has, with 2 when nobody can tell: a process was killed, could
not be checked, or the program has failed.

Examples:
  $ forkheap check -- node test.js
  $ forkheap check --suppressions leaks.supp --format github -- npm test
  $ forkheap check --mode local -- node --test       only what HeapLeakChecker is asked for`,
    )
    .action(async (program: string, args: string[], given: CheckFlags) => {
      const flags: CheckFlags = given.json === true ? { ...given, format: 'json' } : given;
      const file = which(program);
      requireProfilable(file, args);
      const suppressions = suppressionsOf(flags);
      // Before a folder is made: this gperftools may have no leak checker.
      heapProfileEnv({ leakCheck: flags.mode });
      const prefix = choosePrefix(flags, program);
      const env = heapProfileEnv({
        prefix,
        leakCheck: flags.mode,
        children: flags.children,
        javascript: flags.javascript,
      });
      const variables = { ...env, ...filterVariables(flags) };
      const ending = await runProgram(file, [program, ...args], variables, flags.format === 'json' ? 2 : 1);
      const path = pathFor(prefix);
      const tree = await judge(path, flags, suppressions);
      if (ending.status !== 0) {
        tree.warnings.push(
          `${program} ended with ${ending.signal ?? `status ${ending.status}`}: what it would have done later is unknown`,
        );
        if (tree.verdict === 'clean') tree.verdict = 'unknown';
      }
      report(tree, flags);
      // A folder that nobody asked for, about nothing: check runs each day in CI.
      if (flags.prefix === undefined && tree.verdict === 'clean') rmSync(dirname(prefix), { recursive: true });
      else if (flags.format !== 'json') process.stderr.write(`reports: ${resolve(path)}\n`);
      throw new ExitStatus(STATUS[tree.verdict]);
    });
}
