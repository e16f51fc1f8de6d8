// The growth check under each test runner, and in each kind of worker: the test file is run again in a process that can be profiled.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { leakyAddon } from '../helpers/fixtures.js';
import { root, runProcess } from '../helpers/process.js';

const runners = join(root, 'test/leaks/runners/node_modules');

/** A project that has this package and the runners installed. */
function project(): string {
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

const cwd = project();
const bin = (name: string): string => join(runners, '.bin', name);
const vitest = (pool: string): string[] => [bin('vitest'), 'run', 'vitest.test.mjs', `--pool=${pool}`];
const commands: Record<string, string[]> = {
  'a script': ['node.test.cjs'],
  'node --test': ['--test', 'node.test.cjs'],
  tap: ['tap.test.cjs'],
  mocha: [bin('mocha'), 'mocha.test.cjs'],
  'mocha --parallel': [bin('mocha'), '--parallel', '--jobs', '2', 'mocha.test.cjs', 'mocha-2.test.cjs'],
  'jest in band': [bin('jest'), '--runInBand', 'jest.test'],
  'jest, processes': [bin('jest'), '--maxWorkers=2'],
  'jest, threads': [bin('jest'), '--config', 'threads.config.cjs', '--maxWorkers=2'],
  'vitest, forks': vitest('forks'),
  'vitest, threads': vitest('threads'),
  'vitest, vmThreads': vitest('vmThreads'),
};

for (const [name, command] of Object.entries(commands)) {
  t.test(name, async (t) => {
    const env = { LEAKY_ADDON: leakyAddon, EXPECT_RERUN: '1', NO_COLOR: '1' };
    const { code, stdout, stderr } = await runProcess(t, [process.execPath, ...command], { cwd, env });
    t.equal(code, 0, stdout + stderr);
    t.match(stdout + stderr, /leaks|[24] passed/);
  });
}

t.test('under forkheap run nothing is run again', async (t) => {
  const run = [join(root, 'lib/cli/main.js'), 'run', '--quiet', '--prefix', join(t.testdir({}), 'profile'), '--'];
  const env = { LEAKY_ADDON: leakyAddon, EXPECT_RERUN: '0', NO_COLOR: '1' };
  const command = [process.execPath, ...run, process.execPath, ...vitest('threads')];
  const { code, stdout, stderr } = await runProcess(t, command, { cwd, env });
  t.equal(code, 0, stdout + stderr);
});

t.test('a run that cannot be profiled either ends there', async (t) => {
  const code = `
    process.env.LD_PRELOAD = '';
    require('forkheap').checkNativeLeaks(() => {}).catch((error) => console.log(error.code));`;
  const env = { FORKHEAP_CHECK_RESULTS: t.testdir({}) };
  const { stdout } = await runProcess(t, [process.execPath, '-e', code], { cwd, env });
  t.equal(stdout, 'ERR_FORKHEAP_NOT_PRELOADED\n');
});
