// Tries what forkheap does on the Node that runs this and the gperftools that is there. Prints JSON on stdout:
// { node, glibc, results: { name: 'yes' | 'no: why' | '-' } }
//
//   node probe.mjs PACKAGE PROGRAMS FOLDER      an installed package, test/fixtures/programs, a folder for profiles
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [pack, programs, folder] = process.argv.slice(2);
const main = join(pack, 'lib/cli/main.js');
const BLOCKS = 300;
const BYTES = 5000;

function run(args, env = {}, status = 0) {
  const result = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 180_000,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 28,
  });
  if (result.status !== status) {
    const end = result.signal ?? result.status;
    throw new Error(`ended with ${end}: ${result.stderr.trim().split('\n').at(-1)}`);
  }
  return result;
}

/** A program's profile, in a folder of its own. */
function profile(name, options, ...command) {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  const { stdout } = run([
    main,
    'run',
    '-q',
    ...options,
    '--prefix',
    join(place, 'p'),
    '--',
    process.execPath,
    ...command,
  ]);
  return { place, expected: JSON.parse(stdout.trimEnd().split('\n').at(-1)).processes };
}

const top = (...paths) => JSON.parse(run([main, 'top', '--json', ...paths]).stdout);

function leaked(report) {
  const row = report.rows.find(({ name }) => name.startsWith('leaky::LeakBlocks'));
  return row?.cumulative ?? { inuseObjects: 0, inuseSpace: 0 };
}

function same(actual, expected) {
  if (actual !== expected) throw new Error(`${actual} instead of ${expected}`);
}

/** Each process of a tree has its own leak to the block. */
function eachExact({ place, expected }, kinds) {
  const { processes } = top(place);
  for (const { pid, kind, blocks, bytes } of expected.filter((process) => kinds.includes(process.kind))) {
    const process = processes.find((candidate) => candidate.pid === pid);
    if (process === undefined) throw new Error(`no profile of ${kind} ${pid}`);
    const { inuseObjects, inuseSpace } = leaked(top(process.dumps.at(-1)));
    same(inuseObjects, blocks);
    same(inuseSpace, bytes);
  }
}

const api = createRequire(import.meta.url)(pack);
const leaks = fileURLToPath(new URL('leaks.cjs', import.meta.url));

/** `forkheap check` of a program, which must end with this status; the bytes that it has lost. */
function lost(status, ...command) {
  const place = join(folder, `check-${status}`);
  mkdirSync(place, { recursive: true });
  const args = [main, 'check', '--json', '--prefix', join(place, 'p'), '--', process.execPath, ...command];
  try {
    return JSON.parse(run(args, { LEAKY_LOSE: '1' }, status).stdout).bytes;
  } catch (error) {
    // That is what "no" means here: it is no failure of forkheap.
    if (error.message.includes('ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED')) throw new Error('this gperftools has none');
    throw error;
  }
}

// The child ends with _exit(): exit() in a forked child of Node 26 may hang, with and without forkheap.
const fork = join(programs, 'native-fork.cjs');
const checks = {
  exact: () => eachExact(profile('exact', [], join(programs, 'root-leak.mjs'), BLOCKS, BYTES), ['root']),
  'fork(2)': () => eachExact(profile('fork', [], fork, BLOCKS, BYTES, '_exit'), ['root', 'fork']),
  children: () =>
    eachExact(profile('children', [], join(programs, 'fork-child.mjs'), BLOCKS, BYTES), ['root', 'child']),
  sampled: () => {
    const blocks = 20_000;
    const options = ['--mode', 'sampled', '--sample-interval', '64KiB'];
    const { place, expected } = profile('sampled', options, join(programs, 'root-leak.mjs'), blocks, BYTES);
    const ratio = leaked(top(place)).inuseSpace / expected[0].bytes;
    if (ratio < 0.85 || ratio > 1.15) throw new Error(`${Math.round(ratio * 100)} % of what was leaked`);
  },
  JavaScript: () => {
    const { place } = profile('javascript', [], join(programs, 'root-leak.mjs'), BLOCKS, BYTES);
    const output = join(place, 'stacks.txt');
    run([main, 'export', '--to', 'collapsed', '--output', output, place]);
    if (!/;[^;]*leakHere[^;]*;.*LeakBlocks/.test(readFileSync(output, 'utf8')))
      throw new Error('no JavaScript function above LeakBlocks');
  },
  'growth check': () => {
    if (api.checkNativeLeaks === undefined) return '-';
    const args = [leaks, 'growth', pack, programs];
    const { stdout } = run([main, 'run', '-q', '--prefix', join(folder, 'g'), '--', process.execPath, ...args]);
    const { found, bytes, clean } = JSON.parse(stdout.trimEnd().split('\n').at(-1));
    if (!found || bytes !== 10_000) throw new Error(`${bytes} bytes instead of 10000`);
    if (!clean) throw new Error('work without a leak is said to leak');
  },
  'leak checker': () => {
    if (api.HeapLeakChecker === undefined) return '-';
    const bytes = lost(1, join(programs, 'root-leak.mjs'), 1000, 1000);
    // An old copy of its address may still point to a few of the blocks.
    if (bytes < 950_000 || bytes > 1_000_000) throw new Error(`${bytes} bytes instead of 1000000`);
    lost(0, leaks, 'work');
  },
};

const results = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    results[name] = check() ?? 'yes';
  } catch (error) {
    results[name] = `no: ${error.message}`;
  }
}
const { glibcVersionRuntime } = process.report.getReport().header;
console.log(JSON.stringify({ node: process.versions.node, glibc: glibcVersionRuntime, results }));
