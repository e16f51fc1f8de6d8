// Measures forkheap, no profiler and other profilers side by side, and writes the tables of docs/performance.md.
//
//   npm run bench -- [--runs 5] [--only many,service,…] [--peers glibc,exact,…] [--output FILE.md] [--quick]
//
// Every round measures each peer once, in turns forwards and backwards. A ratio is the median of the rounds' own ratios: what
// the machine does to one round, it does to both sides. A run of only some writes its tables to build/bench/bench.md.
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  buildFolder,
  circumstances,
  compileAddon,
  median,
  packageVersion,
  report,
  root,
  table,
  tempFolder,
} from './common.mjs';
import { goals } from './goals.mjs';
import { peers, whyMissing } from './peers.mjs';
import { workloads } from './workloads.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string' },
    only: { type: 'string' },
    peers: { type: 'string' },
    output: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
// A quick run shows that everything works; it measures nothing.
const quickPeers = ['glibc', 'tcmalloc', 'exact', 'sampled'];
const runs = Number(options.runs ?? (options.quick ? 1 : 5));
const whole = !options.quick && options.only === undefined && options.peers === undefined;
const output = options.output ?? (whole ? join(root, 'docs', 'performance.md') : join(buildFolder, 'bench.md'));
const chosen = options.only?.split(',') ?? Object.keys(workloads);
const chosenPeers = options.peers?.split(',') ?? (options.quick ? quickPeers : Object.keys(peers));
for (const name of chosen) if (!(name in workloads)) throw new Error(`no workload is called ${name}`);
for (const name of chosenPeers) if (!(name in peers)) throw new Error(`no peer is called ${name}`);

/** results[workload][peer]: the figures of each round. */
const results = {};
/** stacks[workload][peer]: { all, short }, what the manifests say of all rounds. */
const stacks = {};

function countStacks(workload, peer, folder) {
  const manifests = readdirSync(folder).filter((name) => name.endsWith('.json'));
  if (manifests.length === 0) return;
  stacks[workload] ??= {};
  stacks[workload][peer] ??= { all: 0, short: 0 };
  const counted = stacks[workload][peer];
  for (const name of manifests) {
    const manifest = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    counted.all += manifest.stacks;
    counted.short += manifest.truncatedStacks;
  }
}

async function measure(name, peer) {
  const workload = workloads[name];
  const folder = tempFolder('bench');
  try {
    const figures = await workload.run(peer, (options.quick && workload.quick) || workload.size, folder);
    countStacks(name, peer, folder);
    return figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The medians, with least and most behind; figures of each round or ratios. */
function spread(numbers, digits) {
  const show = (number) =>
    number.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)].map(show);
  return `${show(median(numbers))} (${least}–${most})`;
}

const figuresOf = (name, peer, metric) => results[name]?.[peer]?.map((figures) => figures[metric]);

function ratios(name, metric, peer, base) {
  const [ours, theirs] = [figuresOf(name, peer, metric), figuresOf(name, base, metric)];
  return ours === undefined || theirs === undefined ? undefined : ours.map((figure, i) => figure / theirs[i]);
}

function workloadSection(name) {
  const workload = workloads[name];
  const [first] = Object.keys(workload.metrics);
  const measured = Object.keys(results[name]);
  const bases = ['glibc', 'heaptrack'].filter((base) => measured.includes(base) && measured.includes('glibc'));
  const rows = measured.map((peer) => [
    peers[peer].name,
    ...Object.entries(workload.metrics).map(([metric, { digits }]) => spread(figuresOf(name, peer, metric), digits)),
    ...bases.map((base) => (peer === base ? '' : spread(ratios(name, first, peer, base), 2))),
  ]);
  const headings = [
    '',
    ...Object.values(workload.metrics).map(({ name }) => name),
    ...bases.map((base) => `× ${base}`),
  ];
  return `### ${workload.title}\n\n${table(headings, rows)}${workload.note === undefined ? '' : `\n${workload.note}\n`}`;
}

function goalRow(goal) {
  const metrics = Object.keys(workloads[goal.in]?.metrics ?? {});
  const compare = (metric) => ratios(goal.in, metric, goal.of, goal.against);
  const metric = goal.metric ?? metrics[0];
  const found = goal.against ? compare(metric) : figuresOf(goal.in, goal.of, metric);
  const wanted = `${goal.atLeast ? 'at least' : 'at most'} ${goal.limit}`;
  if (found === undefined || found.length === 0) return [goal.what, wanted, 'not measured', '', ''];
  const cpuMetric =
    goal.against && goal.metric !== 'p99Ms' ? metrics.find((name) => name.startsWith('cpu')) : undefined;
  const cpu = cpuMetric === undefined ? '' : spread(compare(cpuMetric), 2);
  // Of whole stacks, the worst workload counts.
  const value = goal.in === 'stacks' ? Math.min(...found) : median(found);
  const reached = goal.atLeast ? value >= goal.limit : value <= goal.limit;
  return [goal.what, wanted, spread(found, 2), cpu, reached ? 'yes' : '**no**'];
}

const wholeShare = ({ all, short }) => 100 - (100 * short) / all;

function stackSection() {
  const rows = Object.entries(stacks).flatMap(([name, byPeer]) =>
    Object.entries(byPeer).map(([peer, counted]) => [
      name,
      peer,
      counted.all.toLocaleString('en'),
      counted.short.toLocaleString('en'),
      wholeShare(counted).toFixed(3),
    ]),
  );
  return `### Stacks\n\n${table(['', '', 'stacks in all runs', 'ended early', 'whole, %'], rows)}`;
}

function versions() {
  const packages = { heaptrack: 'heaptrack', valgrind: 'valgrind', jemalloc: 'libjemalloc2' };
  return Object.entries(packages)
    .map(([name, debian]) => `${name} ${packageVersion(debian) ?? 'none'}`)
    .join(', ');
}

/** Puts the text between the two marks of the file, or makes the file of it. */
function write(text) {
  const [begin, end] = ['<!-- npm run bench: begin -->', '<!-- npm run bench: end -->'];
  const before = existsSync(output) ? readFileSync(output, 'utf8') : '';
  if (!before.includes(begin)) return report(text, output);
  const kept = [before.slice(0, before.indexOf(begin) + begin.length), before.slice(before.indexOf(end))];
  copyFileSync(output, join(buildFolder, 'performance.before.md'));
  report(`${kept[0]}\n\n${text}\n${kept[1]}`, output);
}

compileAddon(join(root, 'bench', 'addon', 'bench.cc'));
const where = circumstances();
const skipped = new Set();
for (const name of chosen) {
  const workload = workloads[name];
  if (workload.missing !== undefined) {
    skipped.add(`${workload.title}: ${workload.missing}`);
    continue;
  }
  const wanted = workload.peers.filter((peer) => chosenPeers.includes(peer));
  for (const peer of wanted) if (whyMissing(peer)) skipped.add(`${peers[peer].name}: ${whyMissing(peer)}`);
  const present = wanted.filter((peer) => !whyMissing(peer));
  results[name] = Object.fromEntries(present.map((peer) => [peer, []]));
  for (let round = 0; round < runs; round++) {
    for (const peer of round % 2 === 0 ? present : present.toReversed()) {
      const figures = await measure(name, peer);
      results[name][peer].push(figures);
      console.error(`${name} ${round + 1}/${runs} ${peer} ${JSON.stringify(figures)}`);
    }
  }
}

// As goals look them up: the figure of each workload as that of a round.
results.stacks = {
  exact: Object.values(stacks).flatMap(({ exact }) => (exact === undefined ? [] : [{ whole: wholeShare(exact) }])),
};
const sections = [
  `Measured ${where}; ${versions()}. ${runs} run${runs === 1 ? '' : 's'} each, medians, least and most in brackets.`,
  `### Goals\n\n${table(['', 'goal', 'measured', 'by CPU time', 'reached'], goals.map(goalRow))}`,
  ...chosen.filter((name) => name in results).map(workloadSection),
  stackSection(),
  ...(skipped.size === 0 ? [] : [`Not measured: ${[...skipped].join('; ')}.\n`]),
];
writeFileSync(join(buildFolder, 'results.json'), JSON.stringify({ where, runs, results, stacks }, null, 1));
write(sections.join('\n\n'));
