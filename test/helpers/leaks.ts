import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { heapProfileEnv, type LeakCheckMode } from 'forkheap';
import type { Test } from 'tap';
import type { LeaksJson } from '../../src/report/leaks.js';
import { tempPrefix } from './fixtures.js';
import { cli } from './forkheap.js';
import { script } from './preloaded.js';
import { type ProcessOptions, type ProcessResult, root, runProcess } from './process.js';

/** Builds a program of test/leaks/programs into a folder of the test's own; its path. */
export function compile(t: Test, source: string, output: string, ...flags: string[]): string {
  // A folder beside the test's own, which testdir() makes anew each time.
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, output);
  execFileSync('g++', ['-o', file, join(root, 'test/leaks/programs', source), ...flags]);
  return file;
}

/** A library like gperftools 2.17 and later: a stub in the leak checker's place. */
export function compileStub(t: Test): string {
  const soname = 'libtcmalloc_and_profiler.so.4';
  return compile(t, 'stub.cc', soname, '-shared', '-fPIC', `-Wl,-soname,${soname}`);
}

export interface CheckedRun {
  report: LeaksJson;
  prefix: string;
  result: ProcessResult;
}

/** Runs `forkheap check --json FLAGS -- COMMAND`, which must end with this status. */
export async function checkProgram(
  t: Test,
  command: string[],
  {
    status,
    flags = [],
    prefix = tempPrefix(t),
    ...options
  }: ProcessOptions & { status: number; flags?: string[]; prefix?: string },
): Promise<CheckedRun> {
  const result = await cli(t, ['check', '--json', '--prefix', prefix, ...flags, '--', ...command], options);
  t.equal(result.code, status, `status of the check: ${result.stderr}`);
  return { report: JSON.parse(result.stdout) as LeaksJson, prefix, result };
}

const prelude = `
  const { leaky } = require('./test/fixtures/programs/leaky.cjs');
  const { HeapLeakChecker, ForkheapError } = require('forkheap');
  const codeOf = (f) => {
    try {
      return f() ?? null;
    } catch (error) {
      if (!(error instanceof ForkheapError)) throw error;
      return error.code;
    }
  };
  const print = (value) => process.stdout.write(JSON.stringify(value) + '\\n');
  leaky.lose(true);
`;

/** Runs a script in a process that gperftools' leak checker watches, to its end; the line of JSON that it prints. */
export async function withChecker<T>(
  t: Test,
  code: string,
  {
    mode = 'local',
    prefix = tempPrefix(t),
    command = [] as string[],
  }: { mode?: LeakCheckMode; prefix?: string; command?: string[] } = {},
): Promise<T> {
  const env = heapProfileEnv({ prefix, leakCheck: mode }, {});
  const result = await runProcess(t, [...command, ...script(prelude + code)], { env });
  if (result.code !== 0 || result.stderr !== '')
    throw new Error(`ended with ${result.signal ?? result.code}: ${result.stderr}`);
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as T;
}
