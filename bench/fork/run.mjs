// Forks children while four threads allocate and free all the time, and counts those that hang, crash or lose their
// profile: with forkheap, with gperftools alone, and unprofiled. And likewise from Node: an addon forks native helpers
// while worker threads and libuv's thread pool allocate (`npm run build`, and the addon of test/fixtures, come first).
//
//   npm run bench:fork -- [--children 10000] [--threads 4] [--only exact,sampled,…] [--output FILE.md] [--json]
//
// Status 1 when a child hung, crashed or has no whole profile of its own; gperftools alone is not counted in that.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  buildFolder,
  circumstances,
  compile,
  forkheap,
  plainEnv,
  preload,
  report,
  root,
  run,
  table,
  tcmalloc,
  tempFolder,
} from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    children: { type: 'string', default: '10000' },
    threads: { type: 'string', default: '4' },
    only: { type: 'string' },
    output: { type: 'string', default: join(buildFolder, 'fork.md') },
    json: { type: 'boolean', default: false },
  },
});
const children = Number(options.children);

// What each child keeps. The threads' blocks are smaller: a block of this size in a child's profile is the child's own.
const blocks = 200;
const bytes = 5000;
const interval = 64 << 10;
// What a sampled block stands for at most.
const weights = { exact: 1, sampled: 1 / (1 - Math.exp(-bytes / interval)) };
// gperftools alone: no need to wait for more hung children than these.
const enoughHung = 5;

const program = compile(fileURLToPath(new URL('busy-forks.cc', import.meta.url)));
const command = (stopAfter = children) => [program, children, options.threads, blocks, bytes, stopAfter].map(String);

/** The profile's lines: [{ objects, bytes }]. */
function samplesOf(text) {
  const lines = text.slice(0, text.indexOf('MAPPED_LIBRARIES:')).split('\n').slice(1);
  return lines.flatMap((line) => {
    const match = /^ *(\d+): *(\d+) \[/.exec(line);
    return match === null ? [] : [{ objects: Number(match[1]), bytes: Number(match[2]) }];
  });
}

const checks = {
  exact: (samples) => samples.some((sample) => sample.objects === blocks && sample.bytes === blocks * bytes),
  // Sampling may miss every block of a child, but may not show one that is not the child's. Objects are weighted, and rounded.
  sampled: (samples) => samples.every((sample) => Math.abs(sample.bytes - sample.objects * bytes) <= bytes / 2 + 1),
};

/** Counts the children's whole profiles, and those of them that say something else than what the child holds. */
function readProfiles(prefix, mode) {
  const folder = dirname(prefix);
  let whole = 0;
  let wrong = 0;
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const manifest = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    if (manifest.kind !== 'fork') continue;
    const text = readFileSync(join(folder, `${name.slice(0, -'.json'.length)}.0001.heap`), 'utf8');
    if (!text.startsWith('heap profile:') || !text.includes('\nMAPPED_LIBRARIES:')) continue;
    whole++;
    const samples = samplesOf(text);
    const total = samples.reduce((sum, sample) => sum + sample.bytes, 0);
    // exit() allocates next to nothing.
    if (!checks[mode](samples) || total > (blocks * bytes + 4096) * weights[mode]) wrong++;
  }
  return { files: whole, wrong };
}

async function profiled(mode, flags) {
  const folder = tempFolder('bench-fork');
  try {
    const prefix = join(folder, 'p');
    const only = ['--include', 'busy-forks', '--dump-every', '0'];
    const result = await run(
      forkheap('run', '-q', '--mode', mode, ...flags, ...only, '--prefix', prefix, '--', ...command()),
    );
    return { ...result, ...readProfiles(prefix, mode) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function stock() {
  const folder = tempFolder('bench-fork');
  try {
    return await run(command(enoughHung), plainEnv({ LD_PRELOAD: tcmalloc, HEAPPROFILE: join(folder, 'stock') }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The same from a Node process, which ends with an error at the first child that hangs or crashes. */
async function service(mode, flags) {
  const folder = tempFolder('bench-fork');
  try {
    const prefix = join(folder, 'p');
    const file = join(root, 'test/fixtures/programs/native-fork-service.cjs');
    const program = [process.execPath, file, blocks, bytes, children].map(String);
    const result = await run(
      forkheap('run', '-q', '--mode', mode, ...flags, '--dump-every', '0', '--prefix', prefix, '--', ...program),
    );
    if (result.status !== 0) return result;
    const forked = JSON.parse(result.stdout).processes.filter(({ kind }) => kind === 'fork').length;
    const line = JSON.stringify({ children: forked, hung: 0, crashed: 0 });
    return { ...result, stdout: line, ...readProfiles(prefix, mode) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const cases = {
  glibc: { name: 'no profiler, glibc', run: () => run(command()) },
  tcmalloc: { name: 'no profiler, tcmalloc', run: () => run(command(), plainEnv({ LD_PRELOAD: tcmalloc })) },
  exact: { name: 'forkheap, exact', run: () => profiled('exact', []) },
  sampled: {
    name: 'forkheap, sampled, 64 KiB',
    run: () => profiled('sampled', ['--sample-interval', String(interval)]),
  },
  heapcheck: {
    name: 'forkheap, HEAPCHECK=local',
    run: () => run(command(), plainEnv({ LD_PRELOAD: `${preload}:${tcmalloc}`, HEAPCHECK: 'local' })),
  },
  service: { name: 'forkheap, exact, from Node', run: () => service('exact', []) },
  serviceSampled: {
    name: 'forkheap, sampled, 64 KiB, from Node',
    run: () => service('sampled', ['--sample-interval', String(interval)]),
  },
  stock: { name: `gperftools alone, HEAPPROFILE; stopped after ${enoughHung} hung`, run: stock },
};

const where = circumstances();
const results = [];
for (const name of options.only?.split(',') ?? Object.keys(cases)) {
  const { stdout, stderr, status, signal, files, wrong } = await cases[name].run();
  const line = stdout.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`${name} ended with ${signal ?? status}: ${stderr}`);
  results.push({ name, ...JSON.parse(line), files, wrong });
  if (!options.json)
    console.error(`${name}: ${line}${files === undefined ? '' : `, ${files} whole files, ${wrong} wrong`}`);
}

const milliseconds = (us) => us.map((one) => (one / 1000).toFixed(2));
const parts = {
  forkUs: 'fork()',
  prepareUs: 'prepare handlers',
  middleUs: 'C library and kernel',
  returnUs: 'parent handlers and return',
  waitingUs: 'of all: not on a processor',
};
const timed = results.filter((result) => result.forkUs !== undefined);
const times =
  timed.length === 0
    ? ''
    : `
What fork() takes in the parent, in milliseconds: median and 99th percentile.

${table(
  ['', ...Object.values(parts).flatMap((part) => [part, 'p99'])],
  timed.map((result) => [cases[result.name].name, ...Object.keys(parts).flatMap((part) => milliseconds(result[part]))]),
)}`;
const text = `${table(
  ['', 'forked', 'hung', 'crashed', 'whole profiles', 'of these wrong'],
  results.map((result) => [
    cases[result.name].name,
    result.children,
    result.hung,
    result.crashed,
    result.files ?? '',
    result.wrong ?? '',
  ]),
)}${times}
Measured ${where}.
`;
if (options.json) console.log(JSON.stringify(results));
else report(text, options.output);

const good = ({ name, hung, crashed, files, wrong }) =>
  name === 'stock' || (hung + crashed === 0 && (files === undefined || (files === children && wrong === 0)));
process.exitCode = results.every(good) ? 0 : 1;
