// The time of a start, whole process: `node -e 1`, unprofiled, with forkheap, and with gperftools' heap profiler alone, in turn.
//
//   npm run bench:start -- [--parts] [--workers 10] [--certificates FILE] [--runs 15] [--output FILE.md]
//
// --parts adds one part of what forkheap does after the other: where the time goes. --workers starts so many workers by
// child_process.fork, two at a time, instead. --certificates sets NODE_EXTRA_CA_CERTS, which makes Node allocate thirty times
// as often while it starts.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { heapProfileEnv } from '../../lib/index.js';
import {
  buildFolder,
  circumstances,
  compileAddon,
  median,
  plainEnv,
  preload,
  report,
  root,
  table,
  tcmalloc,
  tempFolder,
} from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '15' },
    parts: { type: 'boolean', default: false },
    workers: { type: 'string' },
    certificates: { type: 'string' },
    output: { type: 'string', default: join(buildFolder, 'start.md') },
  },
});

const folder = tempFolder('bench-start');
const base = plainEnv(options.certificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: options.certificates });
const profiled = (given) => heapProfileEnv({ prefix: join(folder, 'p'), ...given }, base);
const idle = profiled({ autoStart: false });
const names = '--interpreted-frames-native-stack';
const onlyNames = { ...idle, NODE_OPTIONS: names, FORKHEAP_NODE_OPTIONS: names };

const whole = {
  'no profiler': base,
  'no profiler, tcmalloc': { ...base, LD_PRELOAD: tcmalloc },
  'forkheap, sampled': profiled({ mode: 'sampled' }),
  'forkheap, sampled, without JavaScript names': profiled({ mode: 'sampled', javascript: false }),
  'forkheap, exact': profiled({ mode: 'exact' }),
  'forkheap, exact, without JavaScript names': profiled({ mode: 'exact', javascript: false }),
  // Takes seconds: two runs are enough to see it.
  'gperftools alone, HEAPPROFILE': { ...base, LD_PRELOAD: tcmalloc, HEAPPROFILE: join(folder, 'stock') },
};
// Each with all that is above it; exact mode instead of sampled mode.
const parts = {
  'no profiler': base,
  tcmalloc: { ...base, LD_PRELOAD: tcmalloc },
  'the preload library, which spares it zeros': { ...base, LD_PRELOAD: `${preload}:${tcmalloc}` },
  'an address for each function of JavaScript': onlyNames,
  'register.cjs and the addon': { ...idle, FORKHEAP_JAVASCRIPT: '0' },
  'names and lines of JavaScript': idle,
  'a sampled profile: samples, the dump, the manifests': profiled({ mode: 'sampled' }),
  'an exact profile: all allocations, the dump, the manifests': profiled({ mode: 'exact' }),
};
const cases = options.parts ? parts : whole;
const args = options.workers === undefined ? ['-e', '1'] : [join(root, 'bench/programs/workers.mjs'), options.workers];

compileAddon(join(root, 'bench/addon/bench.cc'));
const { childrenCpuMs } = createRequire(import.meta.url)('../programs/addon.cjs').addon();
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, { ms: [], cpuMs: [] }]));
const where = circumstances();
for (let run = 0; run < Number(options.runs); run++) {
  for (const [name, env] of Object.entries(cases)) {
    if (name.startsWith('gperftools') && run >= 2) continue;
    const cpuBefore = childrenCpuMs();
    const before = performance.now();
    const { status } = spawnSync(process.execPath, args, { env });
    if (status !== 0) throw new Error(`${name} ended with ${status}`);
    times[name].ms.push(performance.now() - before);
    times[name].cpuMs.push(childrenCpuMs() - cpuBefore);
  }
}
rmSync(folder, { recursive: true });

const first = times['no profiler'];
/** Of the rounds' own differences or ratios: what else the machine does meets both sides. */
const against = (other, values, how) => median(values.map((value, run) => how(value, other[run])));
const processes = 1 + Number(options.workers ?? 0);
const rows = Object.keys(cases).map((name, i, all) => {
  const { ms, cpuMs } = times[name];
  const ratios = [ms, cpuMs].map((values, k) =>
    against([first.ms, first.cpuMs][k], values, (a, b) => a / b).toFixed(2),
  );
  if (!options.parts) {
    const range = `${Math.min(...ms).toFixed(0)} to ${Math.max(...ms).toFixed(0)}`;
    return [name, median(ms).toFixed(0), range, ratios[0], median(cpuMs).toFixed(1), ratios[1]];
  }
  const above = times[all[name.startsWith('an exact') ? i - 2 : i - 1]]?.cpuMs;
  const adds = above === undefined ? '' : (against(above, cpuMs, (a, b) => a - b) / processes).toFixed(1);
  return [name, adds, (median(cpuMs) / processes).toFixed(1), ratios[1], ratios[0]];
});
const head = options.parts
  ? ['', 'adds, CPU ms a process', 'together', 'ratio', 'by time that passes']
  : ['', 'median, ms', 'of the runs', 'ratio', 'CPU ms', 'ratio'];
const what = options.workers === undefined ? '`node -e 1`' : `${options.workers} workers by \`child_process.fork\``;
const text = `${table(head, rows)}
${what}${options.certificates === undefined ? '' : ', with NODE_EXTRA_CA_CERTS'}, ${options.runs} runs in turn. Measured ${where}.
`;
report(text, options.output);
