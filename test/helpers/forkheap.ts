import { join } from 'node:path';
import type { Test } from 'tap';
import { type ProcessOptions, type ProcessResult, root, runProcess } from './process.js';

const main = join(root, 'lib', 'cli', 'main.js');

/** The command that runs `forkheap ARGS`. */
export function forkheap(...args: string[]): string[] {
  return [process.execPath, main, ...args];
}

/** Runs `forkheap ARGS` to its end. */
export function cli(t: Test, args: string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  return runProcess(t, forkheap(...args), options);
}

export interface Values {
  inuseObjects: number;
  inuseSpace: number;
  allocObjects: number;
  allocSpace: number;
}

export interface ProcessEntry {
  pid: number;
  parentPid: number;
  kind: 'root' | 'fork' | 'child' | 'cluster-worker';
  command: string;
  mode: 'exact' | 'sampled';
  dumps: string[];
  inuseSpace: number;
}

export interface Row {
  name: string;
  file: string | null;
  line: number | null;
  mapping: string | null;
  package: string | null;
  /** The processes that the row is of. */
  pids: number[];
  self: Values;
  cumulative: Values;
}

/** What `forkheap top --json` prints. */
export interface Report {
  processes: ProcessEntry[];
  total: Values;
  rows: Row[];
}

/** Runs `forkheap top --json ARGS`, which must succeed. */
export async function readTop(t: Test, ...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await cli(t, ['top', '--json', ...args]);
  if (code !== 0) throw new Error(`forkheap top ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Report;
}

/** The row of a function, by its name without parameters. */
export function rowOf(report: Report, name: string): Row | undefined {
  return report.rows.find((row) => row.name === name || row.name.startsWith(`${name}(`));
}
