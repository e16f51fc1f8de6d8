// What --max-overhead makes of forkheap's cost: a program that does nothing but allocate, and one that also computes, with no
// profiler, exact, sampled, and exact with a limit of 5 %. CPU time a turn, in the first second and in the last two.
//
//   npm run bench:budget -- [--runs 5] [--seconds 6] [--output FILE.md]
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { heapProfileEnv } from '../../lib/index.js';
import {
  buildFolder,
  circumstances,
  compileAddon,
  median,
  plainEnv,
  report,
  root,
  run,
  table,
  tcmalloc,
  tempFolder,
} from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    output: { type: 'string', default: join(buildFolder, 'budget.md') },
  },
});

compileAddon(join(root, 'bench/addon/bench.cc'));
const folder = tempFolder('bench-budget');
const base = plainEnv();
const profiled = (given) => heapProfileEnv({ prefix: join(folder, 'p'), ...given }, base);
const cases = {
  'no profiler, tcmalloc': { ...base, LD_PRELOAD: tcmalloc },
  'no profiler, glibc': base,
  exact: profiled({}),
  'sampled 512 KiB': profiled({ mode: 'sampled' }),
  'exact, at most 5 %': profiled({ maxOverhead: 0.05 }),
};
// LEVELS and WORK of windows.cjs.
const programs = { 'allocates only': [14, 0], 'allocates and computes': [8, 1000] };

/** Figures of one run, and what its manifest says of changes. */
async function measure(program, env) {
  const { status, stdout, stderr } = await run(
    [process.execPath, join(root, 'bench/programs/windows.cjs'), ...programs[program].map(String), options.seconds],
    env,
  );
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
  const { windows } = JSON.parse(
    stdout
      .split('\n')
      .find((line) => line.startsWith('bench: '))
      .slice(7),
  );
  const mean = (some) => some.reduce((sum, value) => sum + value, 0) / some.length;
  const manifest = readdirSync(folder).find((name) => name.endsWith('.json'));
  const { changes = [] } = manifest === undefined ? {} : JSON.parse(readFileSync(join(folder, manifest), 'utf8'));
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  return { first: mean(windows.slice(0, 4)), last: mean(windows.slice(-8)), changes };
}

const where = circumstances();
const found = {};
for (let turn = 0; turn < Number(options.runs); turn++) {
  for (const program of Object.keys(programs)) {
    for (const [name, env] of Object.entries(cases)) {
      found[program] ??= {};
      found[program][name] ??= [];
      found[program][name].push(await measure(program, env));
    }
  }
}
rmSync(folder, { recursive: true });

/** Median, least and most of the ratios of the runs to those without a profiler, in the same turn. */
function ratio(program, name, key) {
  const [plain] = Object.keys(cases);
  const ratios = found[program][name].map((figures, i) => figures[key] / found[program][plain][i].last);
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
}

function changesText(program, name) {
  const changes = found[program][name].map((figures) => figures.changes[0]);
  if (changes.every((change) => change === undefined)) return '';
  const overheads = changes.filter((change) => change !== undefined).map(({ overhead }) => overhead);
  return `in ${overheads.length} of ${changes.length} runs, at ${Math.round(100 * median(overheads))} % measured`;
}

const text = Object.keys(programs)
  .map(
    (program) => `${program}: CPU time a turn, by that of no profiler with tcmalloc

${table(
  ['', 'µs a turn at the end', 'first second', 'last two seconds', 'went to sampled'],
  Object.keys(cases).map((name) => [
    name,
    median(found[program][name].map(({ last }) => last)).toFixed(1),
    ratio(program, name, 'first'),
    ratio(program, name, 'last'),
    changesText(program, name),
  ]),
)}`,
  )
  .join('\n');
report(`${text}\nMeasured ${where}. ${options.runs} runs each, medians, least and most in brackets.\n`, options.output);
