import { Command, Option } from 'commander';
import { isAlive } from '../../capture/alive.js';
import { heapProfileEnv } from '../../capture/environment.js';
import { type Ending, runProgram } from '../../capture/run.js';
import { ForkheapError } from '../../errors.js';
import { findProcesses } from '../../files/find.js';
import { listProcesses } from '../../files/list.js';
import { withManifests } from '../../files/read.js';
import { runSummary } from '../../report/run-summary.js';
import { ExitStatus } from '../exit-status.js';
import { requireProfilable } from '../obstacles.js';
import { parseCount } from '../options.js';
import { choosePrefix, pathFor } from '../prefix.js';
import { parseBytes, parseDuration, parseShare, parseSignal } from '../quantities.js';
import { addTreeOptions, filterVariables, type TreeFlags } from '../tree-options.js';
import { which } from '../which.js';

interface RunFlags extends TreeFlags {
  mode: 'exact' | 'sampled';
  sampleInterval?: number;
  maxOverhead?: number;
  dumpEvery: number;
  dumpAllocated?: number;
  dumpInuse: number;
  dumpSignal?: NodeJS.Signals;
  keep?: boolean;
  maxDumps?: number;
  maxBytes?: number;
  maxTreeDumps?: number;
  maxTreeBytes?: number;
  quiet?: boolean;
}

function sayWhatHappenedToHeapprofile(): void {
  if (process.env.HEAPPROFILE === undefined) return;
  process.stderr.write(
    'forkheap: HEAPPROFILE is set; it is taken out of the environment of the program, because gperftools would write the files itself and Node would damage the variable for children. forkheap writes to --prefix instead.\n',
  );
}

function summarize(prefix: string, ending: Ending): void {
  const path = pathFor(prefix);
  try {
    process.stderr.write(runSummary(listProcesses(withManifests(findProcesses([path]))), path, ending, isAlive));
  } catch (error) {
    if (!(error instanceof ForkheapError)) throw error;
    const why =
      error.code === 'ERR_FORKHEAP_NO_FILES'
        ? 'no process of this run was a Node process that could be profiled, or --include and --exclude leave none; `forkheap doctor` says what to look at'
        : error.message;
    process.stderr.write(`forkheap: no summary: ${why}\n`);
  }
}

/** Those of `names` that were given. */
function given<K extends keyof RunFlags>(
  flags: RunFlags,
  names: readonly K[],
): { [N in K]?: NonNullable<RunFlags[N]> } {
  const chosen: { [N in K]?: NonNullable<RunFlags[N]> } = {};
  for (const name of names) if (flags[name] !== undefined) chosen[name] = flags[name] as NonNullable<RunFlags[K]>;
  return chosen;
}

/** `forkheap run`: a program and every process below it, profiled. */
export function runCommand(): Command {
  const command = new Command('run')
    .summary('profile a program and every process below it')
    .description('Profile the native heap of a program and of every Node process that it starts.')
    .argument('<program>', 'program to run')
    .argument('[args...]', 'its arguments')
    .passThroughOptions();
  return addTreeOptions(command, { files: 'files', verb: 'profile' })
    .addOption(
      new Option('--mode <mode>', 'count every allocation, or one per interval')
        .choices(['exact', 'sampled'])
        .default('exact'),
    )
    .option('--sample-interval <bytes>', 'mean bytes between samples (default: 512KiB)', parseBytes)
    .option(
      '--max-overhead <share>',
      'CPU time that forkheap may take beside the program, for instance 5%; exact goes sampled to stay below',
      parseShare,
    )
    .addOption(
      new Option('--dump-every <time>', 'dump at least so often, so that a kill loses little; 0: never')
        .argParser(parseDuration)
        .default(30_000, '30s'),
    )
    .option('--dump-allocated <bytes>', 'dump whenever so much more was allocated', parseBytes)
    .addOption(
      new Option('--dump-inuse <bytes>', 'dump whenever the bytes in use have grown by so much; 0: never')
        .argParser(parseBytes)
        .default(128 * 2 ** 20, '128MiB'),
    )
    .option('--dump-signal <signal>', 'dump at this signal, for instance SIGUSR2', parseSignal)
    .option('--keep', 'keep each automatic dump, instead of replacing the one before')
    .option('--max-dumps <n>', 'dumps to keep per process (first and latest stay)', parseCount)
    .option('--max-bytes <bytes>', 'bytes of dumps to keep per process (first and latest stay)', parseBytes)
    .option(
      '--max-tree-dumps <n>',
      'dumps to keep in all processes together (the latest of living ones stay)',
      parseCount,
    )
    .option('--max-tree-bytes <bytes>', 'bytes of dumps to keep in all processes together', parseBytes)
    .option('-q, --quiet', 'no summary at the end')
    .addHelpText(
      'after',
      `
Examples:
  $ forkheap run -- node server.js
  $ forkheap run --mode sampled -- npm start          cheap enough for production
  $ forkheap run --max-overhead 5% -- node server.js  exact for as long as that is cheap enough
  $ forkheap run --prefix /tmp/p/%p/heap -- node a.js   a folder per process
  $ forkheap run --include 'worker.js' -- node server.js   only the workers`,
    )
    .action(async (program: string, args: string[], flags: RunFlags) => {
      const file = which(program);
      requireProfilable(file, args);
      const prefix = choosePrefix(flags, program);
      const env = heapProfileEnv({
        prefix,
        mode: flags.mode,
        children: flags.children,
        dumpEvery: flags.dumpEvery,
        javascript: flags.javascript,
        rolling: flags.keep !== true,
        dumpInuse: flags.dumpInuse,
        ...given(flags, [
          'sampleInterval',
          'maxOverhead',
          'dumpAllocated',
          'dumpSignal',
          'maxDumps',
          'maxBytes',
          'maxTreeDumps',
          'maxTreeBytes',
        ]),
      });
      sayWhatHappenedToHeapprofile();
      const ending = await runProgram(file, [program, ...args], { ...env, ...filterVariables(flags) });
      if (flags.quiet !== true) summarize(prefix, ending);
      throw new ExitStatus(ending.status);
    });
}
