// Test runners of test/leaks/runners, each with a test file of its own that makes growth checks.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { leakyAddon } from './fixtures.js';
import { root, runProcess } from './process.js';

export const runners = join(root, 'test/leaks/runners/node_modules');

/** A project that has this package and the runners installed. */
export function project(t: Test): string {
  const folder = t.testdir({});
  cpSync(join(root, 'test/leaks/runners/cases'), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "project", "private": true }');
  writeFileSync(join(folder, 'jest.config.cjs'), "module.exports = { testMatch: ['**/jest*.test.cjs'] };");
  writeFileSync(
    join(folder, 'threads.config.cjs'),
    "module.exports = { testMatch: ['**/jest*.test.cjs'], workerThreads: true };",
  );
  for (const name of ['jest', 'mocha']) cpSync(join(folder, `${name}.test.cjs`), join(folder, `${name}-2.test.cjs`));
  const modules = join(folder, 'node_modules');
  const installed = join(modules, 'forkheap');
  mkdirSync(join(installed, 'prebuilds'), { recursive: true });
  for (const name of ['lib', 'package.json']) cpSync(join(root, name), join(installed, name), { recursive: true });
  symlinkSync(join(root, 'build/Release'), join(installed, 'prebuilds/linux-x64'));
  for (const name of ['@jridgewell', 'cli-table3', 'commander', 'pprof-format', 'tap']) {
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  for (const name of ['jest', 'mocha', 'vitest']) symlinkSync(join(runners, name), join(modules, name));
  return folder;
}

/** A runner's executable. */
export const bin = (name: string): string => join(runners, '.bin', name);

/** Runs a command of Node's in the project: its two tests must pass. `rerun`: by a second run of the test file. */
export async function passes(t: Test, cwd: string, command: string[], rerun = true): Promise<void> {
  const env = { LEAKY_ADDON: leakyAddon, EXPECT_RERUN: rerun ? '1' : '0', NO_COLOR: '1' };
  const { code, stdout, stderr } = await runProcess(t, [process.execPath, ...command], { cwd, env });
  t.equal(code, 0, stdout + stderr);
  t.match(stdout + stderr, /leaks|[24] passed/);
}
