// Runs one test file with a test runner, as the runner was started otherwise: in one process, without a time limit for tests.
// A program of its own: node launch.js JSON (see Launch in runner.ts).
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Launch } from './runner.js';

type Options = Record<string, unknown>;

/** A test waits for a check as long as that takes; the check has its own limit. */
const PATIENCE = 3_600_000;

/** mocha has its options from many places: it is asked for all, and given them back without what says which files to run. */
async function mocha({ root, args, file }: Launch): Promise<void> {
  const require = createRequire(join(root, 'package.json'));
  const load = (path: string): { loadOptions(argv: readonly string[]): Options } => require(path);
  let loadOptions: (argv: readonly string[]) => Options;
  try {
    ({ loadOptions } = load('./lib/cli/options.cjs')); // since mocha 12
  } catch {
    ({ loadOptions } = load('./lib/cli/options.js'));
  }
  const loaded = loadOptions(args);
  const without = /^(_|spec|config|package|opts|watch.*|parallel|jobs|reporter.*|R|O|w|p|j|c|timeout|timeouts|t|\$0)$/;
  const kept = Object.fromEntries(Object.entries(loaded).filter(([name]) => !without.test(name)));
  // The launcher's caller removes this folder.
  const config = join(process.env.FORKHEAP_CHECK_RESULTS ?? mkdtempSync(join(tmpdir(), 'forkheap-')), 'mocharc.json');
  writeFileSync(config, JSON.stringify({ ...kept, timeout: 0, parallel: false }));
  const bin = join(root, 'bin', 'mocha.js');
  process.argv = [process.execPath, bin, '--config', config, '--no-package', file];
  await import(pathToFileURL(bin).href);
}

interface JestCli {
  buildArgv(args: readonly string[]): Promise<{ _: readonly (string | number)[] }>;
  run(args: readonly string[]): Promise<void>;
}

async function jest({ root, args, file }: Launch): Promise<void> {
  const require = createRequire(join(root, 'package.json'));
  const cli = require(root.endsWith('/jest-cli') ? root : 'jest-cli') as JestCli;
  // What is no option's value is a pattern for files.
  const patterns = (await cli.buildArgv(args))._.map(String);
  const unwanted =
    /^(-w|-i|-o|--(watch|watchAll|onlyChanged|runInBand|maxWorkers|coverage|ci|shard|bail|testTimeout)(=.*)?)$/;
  const kept = args.filter((word) => !unwanted.test(word) && !patterns.includes(word));
  await cli.run([...kept, '--runInBand', '--coverage=false', `--testTimeout=${PATIENCE}`, '--runTestsByPath', file]);
}

interface VitestNode {
  parseCLI(argv: string[]): { options: Options };
  startVitest(
    mode: 'test',
    filters: string[],
    options: Options,
  ): Promise<{ close(): Promise<void>; projects?: { config: Options }[] } | undefined>;
}

async function vitest({ root, args, file }: Launch): Promise<void> {
  const require = createRequire(join(root, 'package.json'));
  const { parseCLI, startVitest } = (await import(pathToFileURL(require.resolve('vitest/node')).href)) as VitestNode;
  const { options } = parseCLI(['vitest', ...args]);
  const runner = await startVitest('test', [file], {
    ...options,
    watch: false,
    run: true,
    coverage: { enabled: false },
    fileParallelism: false,
    testTimeout: PATIENCE,
    hookTimeout: PATIENCE,
    reporters: ['default'],
  });
  await runner?.close();
}

const launch = JSON.parse(process.argv[2] ?? '') as Launch;
await { mocha, jest, vitest }[launch.runner](launch);
