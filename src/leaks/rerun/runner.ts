import { existsSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { packageRoot } from '#root';
import { ForkheapError } from '../../errors.js';

/** Test runners that need to be told which of their files to run. */
export type RunnerName = 'mocha' | 'jest' | 'vitest';

/** What the launcher gets, as JSON in its first argument. */
export interface Launch {
  readonly runner: RunnerName;
  /** The runner's package. */
  readonly root: string;
  /** The arguments that it was started with. */
  readonly args: readonly string[];
  /** The test file to run. */
  readonly file: string;
}

/** How to run a test file again. */
export interface Rerun {
  /** Arguments of Node. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** Variables of the runner's worker, which the new process is not. */
  readonly drop: readonly string[];
}

/** A process as /proc shows it. */
export interface Ancestor {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly parent: number;
}

/** Null when it has ended, or is not ours. */
function readProcess(pid: number | 'self'): Ancestor | null {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    // The name, which comes before, may have spaces and brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return { argv, cwd: readlinkSync(`/proc/${pid}/cwd`), parent };
  } catch {
    return null;
  }
}

/** This process and those above it, nearest first. */
function ancestors(): Ancestor[] {
  const found: Ancestor[] = [];
  for (let next = readProcess('self'); next !== null && found.length < 6; next = readProcess(next.parent)) {
    found.push(next);
    if (next.parent <= 1) break;
  }
  return found;
}

/** The npm package that a script belongs to. */
function packageOfScript(script: string, cwd: string): { name: string; root: string } | null {
  const path = resolve(cwd, script);
  if (!existsSync(path)) return null;
  for (let folder = dirname(realpathSync(path)); folder !== '/'; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const { name } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown };
    if (typeof name === 'string') return { name, root: folder };
  }
  return null;
}

const RUNNERS: Record<string, RunnerName> = { mocha: 'mocha', jest: 'jest', 'jest-cli': 'jest', vitest: 'vitest' };

/** A runner's own process, or a worker of it. */
interface Running {
  runner: RunnerName;
  root: string;
  nodeArgs: string[];
  args: string[];
  cwd: string;
}

/** Options of Node whose value may be the next word. */
const WITH_VALUE =
  /^(-r|-C|--(require|import|loader|experimental-loader|conditions|env-file|env-file-if-exists|title|input-type|inspect-port))$/;

/** Where the script stands in Node's command line; -1 when there is none. */
export function scriptIndex(argv: readonly string[]): number {
  for (let i = 1; i < argv.length; i++) {
    const word = argv[i] as string;
    if (WITH_VALUE.test(word)) i++;
    else if (!word.startsWith('-')) return i;
  }
  return -1;
}

/** Whether a process is that of a runner; workers have scripts of other names. */
function runnerOf({ argv, cwd }: Ancestor): Running | null {
  const at = scriptIndex(argv);
  const script = argv[at] ?? '';
  if (script === '' || !/^node/.test(basename(argv[0] ?? ''))) return null;
  const found = packageOfScript(script, cwd);
  const runner = RUNNERS[found?.name ?? ''];
  if (found === null || runner === undefined) return null;
  if (/\/(worker|forks|threads|vmForks|vmThreads)\.[cm]?js$/.test(script)) return null;
  return { runner, root: found.root, nodeArgs: argv.slice(1, at), args: argv.slice(at + 1), cwd };
}

/** Variables that a runner's worker has and a new run must not have. */
const WORKER_VARIABLES = [
  'NODE_TEST_CONTEXT',
  'NODE_TEST_WORKER_ID',
  'JEST_WORKER_ID',
  'MOCHA_WORKER_ID',
  'VITEST',
  'VITEST_MODE',
  'VITEST_WORKER_ID',
  'VITEST_POOL_ID',
  'NODE_V8_COVERAGE',
];

function refuse(message: string): never {
  throw new ForkheapError(
    'ERR_FORKHEAP_NOT_PRELOADED',
    `this process was not started with forkheap, and ${message}. Start it with \`forkheap run -- COMMAND\`, or with the environment that heapProfileEnv({ autoStart: false }) returns`,
  );
}

/**
 * How to run the test file that this process is running in a process of its own.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_PRELOADED when that cannot be known
 */
export function rerunOf(file: string, env: NodeJS.ProcessEnv, processes = ancestors()): Rerun {
  const [self] = processes;
  if (self === undefined) return refuse('/proc does not tell how');
  const running = processes.map(runnerOf).find((found) => found !== null);
  const inRunner = env.VITEST !== undefined || env.JEST_WORKER_ID !== undefined || env.MOCHA_WORKER_ID !== undefined;
  if (running !== undefined && running !== null && (inRunner || running.runner === 'mocha')) {
    if (file === '') return refuse('it is not known which test file calls: give testFile');
    const { runner, root, args, cwd, nodeArgs } = running;
    const launch: Launch = { runner, root, args, file };
    const script = join(packageRoot, 'lib', 'leaks', 'rerun', 'launch.js');
    return { args: [...nodeArgs, script, JSON.stringify(launch)], cwd, drop: WORKER_VARIABLES };
  }
  if (inRunner) return refuse('the command line of its test runner is not known');
  // tap's children can talk to tap, but do not wait for it to.
  if (process.send !== undefined && env.TAP === undefined)
    return refuse('it is a child that talks to its parent, which can only be started by that');
  const words = self.argv.slice(1);
  const isScript = words.some((word) => /^(-e|-p|-pe|--eval|--print|--test)\b/.test(word));
  if (!isScript && (process.argv[1] === undefined || !existsSync(process.argv[1])))
    return refuse('there is no script in its command line that could be run again');
  return { args: words, cwd: self.cwd, drop: WORKER_VARIABLES };
}
