import { join } from 'node:path';
import type { Test } from 'tap';
import { root } from './process.js';

export type Leaky = typeof import('../fixtures/addons/leaky/index.js');

/** The addon that leaks, and the same without symbols. */
export const leakyAddon = join(root, 'test/fixtures/addons/leaky/build/Release/leaky.node');
export const strippedAddon = join(root, 'test/fixtures/addons/leaky/build/Release/leaky-stripped.node');

/** The command that runs a program of test/fixtures/programs. */
export function program(name: string, ...args: (string | number)[]): string[] {
  return [process.execPath, join(root, 'test/fixtures/programs', name), ...args.map(String)];
}

/** One process of a fixture program, and what it has leaked from leaky::LeakBlocks. */
export interface LeakingProcess {
  pid: number;
  kind: 'root' | 'fork' | 'child' | 'cluster-worker';
  blocks: number;
  bytes: number;
}

/** What a fixture program prints: its last line of stdout. */
export function leaksIn(stdout: string): LeakingProcess[] {
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return (JSON.parse(last) as { processes: LeakingProcess[] }).processes;
}

/** A prefix for profiles in a folder of the test's own, which is removed with it. */
export function tempPrefix(t: Test, name = 'profile'): string {
  return join(t.testdir({}), name);
}
