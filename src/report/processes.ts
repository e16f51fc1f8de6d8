import { posix } from 'node:path';
import type { ManifestExit, ModeChange, ProfileWay } from '../capture/manifest.js';
import {
  addValues,
  type Profile,
  type ProfiledProcess,
  roundValues,
  type Values,
  zeroValues,
} from '../profile/model.js';
import { formatBytes, formatShare } from './units.js';

/** A process in `--json`: part of the public interface. */
export interface ProcessJson extends Values {
  pid: number;
  parentPid: number | null;
  kind: ProfiledProcess['kind'];
  command: string;
  mode: ProfiledProcess['mode'];
  sampleInterval: number;
  /** Changes of mode and interval that a limit on the overhead has made, oldest first. */
  changes: readonly ModeChange[];
  startTime: string | null;
  exit: ManifestExit | null;
  dumps: readonly string[];
}

/** A process with its sums, as `--json` has it. */
export function processJson(process: ProfiledProcess, values: Values): ProcessJson {
  const { pid, parentPid, kind, command, mode, sampleInterval, changes, startTime, exit, dumps } = process;
  return {
    pid,
    parentPid,
    kind,
    command,
    mode,
    sampleInterval,
    changes,
    startTime,
    exit,
    dumps,
    ...roundValues(values),
  };
}

/** The sums of each of a profile's processes. */
export function processTotals(profile: Profile): Map<ProfiledProcess, Values> {
  const totals = new Map(profile.processes.map((process) => [process, zeroValues()]));
  for (const sample of profile.samples) {
    const total = totals.get(sample.process);
    if (total !== undefined) addValues(total, sample);
  }
  return totals;
}

/** A profile's processes with their sums, as `--json` has them. */
export function processesJson(profile: Profile): ProcessJson[] {
  return [...processTotals(profile)].map(([process, values]) => processJson(process, values));
}

/** `exact`, or `sampled 512 KiB`. */
function wayText({ mode, sampleInterval }: ProfileWay): string {
  return mode === 'exact' ? mode : `sampled ${formatBytes(sampleInterval)}`;
}

/** `exact`, `sampled 512 KiB`, or `exact → sampled 512 KiB` where it has changed. */
export function modeText(process: ProfiledProcess): string {
  const [first] = process.changes;
  const now = wayText(process.changes.at(-1)?.to ?? process);
  return first === undefined ? now : `${wayText(first.from)} → ${now}`;
}

/** A sentence about the changes of mode of a process; null when there were none. */
export function changesText({ pid, changes }: ProfiledProcess): string | null {
  const [first] = changes;
  if (first === undefined) return null;
  const cost = first.overhead > 10 ? 'more than 1000%' : formatShare(first.overhead, 1);
  const more = changes.length - 1;
  const then =
    more === 0 ? '' : `, then in ${more} more step${more === 1 ? '' : 's'} to ${wayText((changes.at(-1) ?? first).to)}`;
  const exact = first.dump === null ? 'lost: that dump failed' : `in ${first.dump}`;
  const before = first.from.mode === 'exact' ? ` Later dumps are estimates; the last exact numbers are ${exact}.` : '';
  return `Process ${pid} went from ${wayText(first.from)} to ${wayText(first.to)} at ${first.time}, when forkheap cost ${cost} of the program's own CPU time${then}.${before}`;
}

/** What a process is called where its command line is unknown. */
export function commandText(process: ProfiledProcess): string {
  return process.command || posix.basename(process.id);
}

/** Sorted as a tree: each process after its parent, with its depth below the first of its line. */
export function processTree(processes: readonly ProfiledProcess[]): { process: ProfiledProcess; depth: number }[] {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const children = new Map<ProfiledProcess | null, ProfiledProcess[]>();
  for (const process of processes) {
    const parent = process.parentPid === null ? undefined : byPid.get(process.parentPid);
    const key = parent === undefined || parent === process ? null : parent;
    children.set(key, [...(children.get(key) ?? []), process]);
  }
  const tree: { process: ProfiledProcess; depth: number }[] = [];
  const seen = new Set<ProfiledProcess>();
  const visit = (process: ProfiledProcess, depth: number): void => {
    if (seen.has(process)) return;
    seen.add(process);
    tree.push({ process, depth });
    for (const child of children.get(process) ?? []) visit(child, depth + 1);
  };
  for (const process of children.get(null) ?? []) visit(process, 0);
  // Reused pids can make a circle of parents.
  for (const process of processes) visit(process, 0);
  return tree;
}
