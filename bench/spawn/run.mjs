// How long child_process.spawn('true') takes from a process with many live native blocks: profiled, and not.
//
//   npm run bench:spawn -- [--blocks 1000000] [--rounds 5] [--spawns 200] [--load-spawns 2000] [--output FILE.md]
//
// Status 1 when a spawn under load failed or left files behind.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildFolder, circumstances, forkheap, median, plainEnv, report, run, table, tempFolder } from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    blocks: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    spawns: { type: 'string', default: '200' },
    'load-spawns': { type: 'string', default: '2000' },
    output: { type: 'string', default: join(buildFolder, 'spawn.md') },
  },
});

const program = fileURLToPath(new URL('process.cjs', import.meta.url));
const command = (ballast, spawns, load, atOnce) =>
  [process.execPath, program, options.blocks, ballast, spawns, load, atOnce].map(String);

async function measured(argv) {
  const { stdout, stderr, status, signal } = await run(argv, plainEnv(), { timeout: 600_000 });
  if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${signal ?? status}: ${stderr}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

/** The same under forkheap; `names` are the files that it left. */
async function profiled(argv) {
  const folder = tempFolder('bench-spawn');
  try {
    const result = await measured(
      forkheap('run', '-q', '--dump-every', '0', '--prefix', join(folder, 'p'), '--', ...argv),
    );
    return { ...result, names: readdirSync(folder) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const where = circumstances();
const cases = { plain: [], profiled: [], ballast: [] };
const spawns = options.spawns;
for (let round = 0; round < Number(options.rounds); round++) {
  const plain = await measured(command(0, spawns, 0, 1));
  const exact = await profiled(command(0, spawns, 0, 1));
  const ballast = await measured(command(Math.max(0, exact.rss - plain.rss), spawns, 0, 1));
  cases.plain.push(plain);
  cases.profiled.push(exact);
  cases.ballast.push(ballast);
}
const underLoad = await profiled(command(0, options['load-spawns'], 2, 4));
const manifests = underLoad.names.filter((name) => name.endsWith('.json')).length;

const names = { plain: 'no profiler', profiled: 'forkheap, exact', ballast: 'no profiler, as much memory as with it' };
// The median of the rounds' medians.
const middle = (results, what) => median(results.map((result) => median(result[what])));
const plainCall = middle(cases.plain, 'callUs');
const plainEnd = middle(cases.plain, 'endUs');
const rows = Object.entries(cases).map(([name, results]) => {
  const call = middle(results, 'callUs');
  const end = middle(results, 'endUs');
  return [
    names[name],
    (median(results.map((result) => result.rss)) / 2 ** 20).toFixed(0),
    (call / 1000).toFixed(2),
    (call / plainCall).toFixed(2),
    (end / 1000).toFixed(2),
    (end / plainEnd).toFixed(2),
  ];
});
const text = `${table(['', 'RSS, MiB', 'spawn(), median ms', 'ratio', 'until the exit, median ms', 'ratio'], rows)}
${options.blocks} live native blocks; ${options.rounds} interleaved rounds of ${spawns} spawns each.

Under load (2 worker threads and the thread pool allocating, 4 spawns at once): ${underLoad.endUs.length} spawns,
${underLoad.failed} failed, none hung; ${manifests} process left files, which is the one that spawned.

Measured ${where}.
`;
report(text, options.output);
process.exitCode = underLoad.failed === 0 && manifests === 1 ? 0 : 1;
