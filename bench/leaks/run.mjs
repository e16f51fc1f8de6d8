// The growth check over known leaks, their fixed versions, and clean work. Installs the addons and builds those that come as
// source. Ends with 1 when a leak is missed, is wrong by more than 5 %, or an alarm is false.
//
//   node bench/leaks/run.mjs [--times 5]
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { heapProfileEnv } from '../../lib/index.js';

const { values } = parseArgs({ options: { times: { type: 'string', default: '5' } } });
const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');

if (!existsSync(join(here, 'node_modules'))) {
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', here], { stdio: 'inherit' });
}
for (const [name, file] of Object.entries({
  sqlite3: 'build/Release/node_sqlite3.node',
  'sqlite3-leaks': 'lib/binding/napi-v6-linux-glibc-x64/node_sqlite3.node',
  'better-sqlite3': 'build/Release/better_sqlite3.node',
})) {
  const cwd = join(here, 'node_modules', name);
  if (existsSync(join(cwd, file))) continue;
  // What node-pre-gyp would say, which sqlite3 5.1.6 wants.
  const place = dirname(join(cwd, file));
  const module = [
    '--module_name=node_sqlite3',
    '--napi_build_version=6',
    `--module_path=${place}`,
    `--module=${join(cwd, file)}`,
  ];
  const nodedir = process.env.npm_config_nodedir ?? join(process.execPath, '../..');
  const args = ['rebuild', '--release', `--nodedir=${nodedir}`, ...(name === 'sqlite3-leaks' ? module : [])];
  execFileSync(join(root, 'node_modules/.bin/node-gyp'), args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** What a program prints in a preloaded process: lines of JSON. */
function run(...args) {
  const env = heapProfileEnv({ autoStart: false });
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: here, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

let wrong = 0;
const expect = (right, text) => {
  if (!right) wrong++;
  console.log(`${right ? 'ok' : 'WRONG'}  ${text}`);
};
for (const [name, leaks] of Object.entries({
  leveldown: true,
  'leveldown-fixed': false,
  'sqlite3-leaks': true,
  sqlite3: false,
  'better-sqlite3': false,
})) {
  const [result] = run('known.mjs', name);
  const near = !leaks || Math.abs(result.bytesPerIteration / result.known - 1) <= 0.05;
  expect(result.leaks === leaks && near && result.packages.join() === (leaks ? name : ''), JSON.stringify(result));
}
const clean = run('clean.mjs', '--times', values.times);
for (const result of clean.filter(({ leaks }) => leaks !== false)) expect(false, JSON.stringify(result));
expect(
  true,
  `${clean.filter(({ leaks }) => leaks === false).length} of ${clean.length} checks of clean work without an alarm`,
);
process.exitCode = wrong === 0 ? 0 : 1;
