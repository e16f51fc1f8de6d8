// How long child_process.spawn('true') takes from a process with many live native blocks: profiled, and not, with as
// much memory. The processes live side by side and spawn in turn, a few times each: what else the machine does meets all.
//
//   npm run bench:spawn -- [--blocks 1000000] [--rounds 20] [--spawns 20] [--load-spawns 2000] [--output FILE.md]
//
// A second table has what the steps of a start cost in these processes, without libuv and JavaScript (parts.cc).
//
// Status 1 when a spawn under load failed or left files behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  buildFolder,
  circumstances,
  compileAddon,
  forkheap,
  median,
  plainEnv,
  report,
  table,
  tcmalloc,
  tempFolder,
} from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    blocks: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '20' },
    spawns: { type: 'string', default: '20' },
    'load-spawns': { type: 'string', default: '2000' },
    output: { type: 'string', default: join(buildFolder, 'spawn.md') },
  },
});

const file = fileURLToPath(new URL('process.cjs', import.meta.url));
const addon = compileAddon(fileURLToPath(new URL('parts.cc', import.meta.url)));
const command = (ballast, load, atOnce) =>
  [process.execPath, file, addon, options.blocks, ballast, load, atOnce].map((word) => `${word}`);

/** A process that spawns when it is asked: { rss, anonymous, huge, mappings, measure(step, times), end() }. */
async function start([program, ...args], env = plainEnv()) {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ${args.join(' ')} ended with ${await ended}`);
    return JSON.parse(value);
  };
  const memory = await answer();
  return {
    ...memory,
    measure: (step, times) => {
      child.stdin.write(`${step} ${times}\n`);
      return answer();
    },
    end: () => {
      child.stdin.end();
      return ended;
    },
  };
}

const folder = tempFolder('bench-spawn');
const profiled = (name, argv) =>
  start(forkheap('run', '-q', '--dump-every', '0', '--prefix', join(folder, name), '--', ...argv));
const withTcmalloc = (ballast) => start(command(ballast, 0, 1), plainEnv({ LD_PRELOAD: tcmalloc }));

const where = circumstances();
const exact = await profiled('p', command(0, 0, 1));
const plain = await start(command(0, 0, 1));
const plainTcmalloc = await withTcmalloc(0);
const cases = {
  'forkheap, exact': exact,
  'no profiler, the same memory': await start(command(Math.max(0, exact.rss - plain.rss), 0, 1)),
  'no profiler, tcmalloc, the same memory': await withTcmalloc(Math.max(0, exact.rss - plainTcmalloc.rss)),
  'no profiler': plain,
};
await plainTcmalloc.end();
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, { callUs: [], endUs: [] }]));
for (const one of Object.values(cases)) await one.measure('spawn', 5);
for (let round = 0; round < Number(options.rounds); round++) {
  for (const [name, one] of Object.entries(cases)) {
    const { callUs, endUs } = await one.measure('spawn', options.spawns);
    times[name].callUs.push(...callUs);
    times[name].endUs.push(...endUs);
  }
}
const steps = { kernel: 'clone(2) alone', fork: 'fork()', exec: 'and execve()', end: "and true's end" };
const costs = Object.fromEntries(Object.keys(cases).map((name) => [name, {}]));
for (const step of Object.keys(steps)) {
  for (const name of Object.keys(cases)) costs[name][step] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [name, one] of Object.entries(cases))
      costs[name][step].push(await one.measure(step, Number(options.spawns)));
  }
}
for (const one of Object.values(cases)) await one.end();

const loaded = await profiled('loaded', command(0, 2, 4));
const underLoad = await loaded.measure('spawn', options['load-spawns']);
await loaded.end();
const manifests = readdirSync(folder).filter((name) => name.startsWith('loaded_') && name.endsWith('.json')).length;
rmSync(folder, { recursive: true });

const base = times['no profiler, the same memory'];
const milliseconds = (of) => (median(of) / 1000).toFixed(2);
const ratio = (of, to) => (median(of) / median(to)).toFixed(2);
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
const rows = Object.entries(times).map(([name, { callUs, endUs }]) => [
  name,
  mebibytes(cases[name].rss),
  milliseconds(callUs),
  ratio(callUs, base.callUs),
  milliseconds(endUs),
  ratio(endUs, base.endUs),
]);
const middle = (list, what) => median(list.map((one) => one[what])).toFixed(0);
const parts = Object.entries(costs).map(([name, of]) => [
  name,
  mebibytes(cases[name].anonymous),
  mebibytes(cases[name].huge),
  cases[name].mappings,
  ...Object.keys(steps).map((step) => middle(of[step], 'us')),
  middle(of.fork, 'parentFaults'),
  middle(of.fork, 'childFaults'),
  middle(of.end, 'childFaults'),
]);
const headings = [
  '',
  'anonymous, MiB',
  'huge pages, MiB',
  'mappings',
  ...Object.values(steps).map((step) => `${step}, µs`),
];
const faults = ['faults after fork(): parent', 'child', 'child with true'];
const text = `${table(['', 'RSS, MiB', 'spawn(), median ms', 'ratio', 'until the exit, median ms', 'ratio'], rows)}
${options.blocks} live native blocks; ${options.rounds} rounds of ${options.spawns} spawns each, in turn.

The steps of a start from native code in the same processes, medians, each from its beginning:

${table([...headings, ...faults], parts)}
Under load (2 worker threads and the thread pool allocating, 4 spawns at once): ${underLoad.endUs.length} spawns,
${underLoad.failed} failed, none hung; ${manifests} process left files, which is the one that spawned.

Measured ${where}.
`;
report(text, options.output);
process.exitCode = underLoad.failed === 0 && manifests === 1 ? 0 : 1;
