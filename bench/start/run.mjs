// The time of `node -e 1`, whole process: unprofiled, with forkheap, and with gperftools' heap profiler alone, in turn.
//
//   npm run bench:start -- [--runs 15] [--certificates FILE] [--output FILE.md]
//
// --certificates sets NODE_EXTRA_CA_CERTS, which makes Node allocate thirty times as often while it starts.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { heapProfileEnv } from '../../lib/index.js';
import { buildFolder, circumstances, plainEnv, report, table, tcmalloc, tempFolder } from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '15' },
    certificates: { type: 'string' },
    output: { type: 'string', default: join(buildFolder, 'start.md') },
  },
});

const folder = tempFolder('bench-start');
const base = plainEnv();
delete base.NODE_EXTRA_CA_CERTS;
if (options.certificates !== undefined) base.NODE_EXTRA_CA_CERTS = options.certificates;
const profiled = (given) => heapProfileEnv({ prefix: join(folder, 'p'), ...given }, base);
const cases = {
  'no profiler': base,
  'no profiler, tcmalloc': { ...base, LD_PRELOAD: tcmalloc },
  'forkheap, sampled': profiled({ mode: 'sampled' }),
  'forkheap, sampled, without JavaScript names': profiled({ mode: 'sampled', javascript: false }),
  'forkheap, exact': profiled({ mode: 'exact' }),
  'forkheap, exact, without JavaScript names': profiled({ mode: 'exact', javascript: false }),
  // Takes seconds: two runs are enough to see it.
  'gperftools alone, HEAPPROFILE': { ...base, LD_PRELOAD: tcmalloc, HEAPPROFILE: join(folder, 'stock') },
};
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
const where = circumstances();
for (let run = 0; run < Number(options.runs); run++) {
  for (const [name, env] of Object.entries(cases)) {
    if (name.startsWith('gperftools') && run >= 2) continue;
    const before = performance.now();
    const { status } = spawnSync(process.execPath, ['-e', '1'], { env });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    times[name].push(performance.now() - before);
  }
}
rmSync(folder, { recursive: true });

const sorted = (name) => times[name].sort((a, b) => a - b);
const median = (name) => sorted(name)[Math.floor(times[name].length / 2)];
const text = `${table(
  ['', 'median, ms', 'of the runs', 'ratio'],
  Object.keys(cases).map((name) => [
    name,
    median(name).toFixed(0),
    `${sorted(name)[0].toFixed(0)} to ${sorted(name).at(-1).toFixed(0)}`,
    (median(name) / median('no profiler')).toFixed(2),
  ]),
)}
${options.certificates === undefined ? '' : 'With NODE_EXTRA_CA_CERTS. '}Measured ${where}.
`;
report(text, options.output);
