import { readdirSync, readFileSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Test } from 'tap';
import type { Manifest } from '../../src/capture/manifest.js';
import { type LeakingProcess, tempPrefix } from './fixtures.js';
import { forkheap, type Report, readTop, rowOf, type Values } from './forkheap.js';
import { type ProcessOptions, type ProcessResult, type RunningProcess, startProcess } from './process.js';

export interface ProfiledRun {
  prefix: string;
  folder: string;
  /** Of `forkheap run` itself. */
  pid: number;
  result: ProcessResult;
}

export interface RunOptions extends ProcessOptions {
  /** Options of `forkheap run`. */
  flags?: string[];
  prefix?: string;
}

/** Starts `forkheap run --quiet FLAGS -- COMMAND`, with a prefix in a folder of the test's own. */
export function startProfiled(
  t: Test,
  command: string[],
  { flags = [], prefix = tempPrefix(t), ...options }: RunOptions = {},
): RunningProcess & { prefix: string; folder: string } {
  const running = startProcess(t, forkheap('run', '--quiet', '--prefix', prefix, ...flags, '--', ...command), options);
  return { ...running, prefix, folder: dirname(prefix) };
}

/** Runs a program under `forkheap run` to its end, which must have status 0 unless another is given. */
export async function runProfiled(
  t: Test,
  command: string[],
  { status = 0, ...options }: RunOptions & { status?: number } = {},
): Promise<ProfiledRun> {
  const { prefix, folder, pid, result } = startProfiled(t, command, options);
  const ended = await result;
  t.equal(ended.code, status, `status of ${command.slice(1).map((word) => basename(word))}: ${ended.stderr}`);
  return { prefix, folder, pid, result: ended };
}

/** Names of the files in a folder, sorted, without the control file of the whole tree. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.endsWith('.control'))
    .sort();
}

/** The dumps and manifests that processes with these pids leave when each ends with its first dump. */
export function firstFiles(prefix: string, pids: readonly number[]): string[] {
  const name = basename(prefix);
  return pids.flatMap((pid) => [`${name}_${pid}.0001.heap`, `${name}_${pid}.json`]).sort();
}

/** The manifests below a prefix, by pid. */
export function manifestsOf(prefix: string): Map<number, Manifest> {
  const found = filesIn(dirname(prefix)).filter((name) => name.startsWith(basename(prefix)) && name.endsWith('.json'));
  const manifests = found.map((name) => JSON.parse(readFileSync(join(dirname(prefix), name), 'utf8')) as Manifest);
  return new Map(manifests.map((manifest) => [manifest.pid, manifest]));
}

/** The manifest of one process, which must be there. */
export function manifestOf(prefix: string, pid: number): Manifest {
  return JSON.parse(readFileSync(`${prefix}_${pid}.json`, 'utf8')) as Manifest;
}

/** What leaky::LeakBlocks holds in each process, by pid; processes without such a row are missing. */
export async function leaksOf(t: Test, ...paths: string[]): Promise<Map<number, Values>> {
  const report = await readTop(t, '--per-process', ...paths);
  const leaks = new Map<number, Values>();
  for (const process of report.processes as (Report['processes'][number] & Pick<Report, 'rows'>)[]) {
    const row = rowOf({ ...report, rows: process.rows }, 'leaky::LeakBlocks');
    if (row !== undefined) leaks.set(process.pid, row.self);
  }
  return leaks;
}

/** The profiles below a prefix hold exactly these leaks and no other. */
export async function sameLeaks(t: Test, prefix: string, expected: readonly LeakingProcess[]): Promise<void> {
  const leaks = await leaksOf(t, prefix);
  const found = [...leaks].map(([pid, self]) => ({ pid, blocks: self.inuseObjects, bytes: self.inuseSpace }));
  const byPid = (a: { pid: number }, b: { pid: number }): number => a.pid - b.pid;
  const wanted = expected.map(({ pid, blocks, bytes }) => ({ pid, blocks, bytes }));
  t.same(found.sort(byPid), wanted.sort(byPid), 'objects and bytes of leaky::LeakBlocks in each process');
}

/** Waits until `look` gives something, asking at each change in `folder`. */
export async function watchFor<T>(folder: string, look: () => T | undefined): Promise<T> {
  const watcher = watch(folder);
  try {
    return await new Promise<T>((resolve, reject) => {
      const check = (): void => {
        try {
          const found = look();
          if (found !== undefined) resolve(found);
        } catch (error) {
          reject(error);
        }
      };
      watcher.on('change', check);
      watcher.on('error', reject);
      check();
    });
  } finally {
    watcher.close();
  }
}
