// The workloads. Each has peers, and a run() that measures one of them once and resolves to figures by metric.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { sendLoad } from '../examples/level-service/load.js';
import { percentile, root, run } from './common.mjs';
import { certificates, hasCertificates, peers } from './peers.mjs';

const program = (name, ...args) => [process.execPath, join(root, 'bench', 'programs', name), ...args.map(String)];

/** Runs a command to its end as the peer does; throws when it fails. */
async function runToEnd(peer, command, folder, added = {}) {
  const { command: whole, env } = peers[peer].setUp(command, folder);
  const result = await run(whole, { ...env, ...added });
  if (result.status !== 0) throw new Error(`${peer}: ${whole.join(' ')} ended with ${result.status}\n${result.stderr}`);
  return result;
}

/** The figures that the program itself has measured. */
async function figures(peer, command, folder) {
  const { stdout, stderr } = await runToEnd(peer, command, folder);
  const line = /^bench: (.*)$/m.exec(stdout);
  if (line === null) throw new Error(`${peer}: no figures\n${stdout}${stderr}`);
  return JSON.parse(line[1]);
}

/** Wall and processor time of what happens, with all the processes that it starts and waits for. */
async function timed(happen) {
  const { childrenCpuMs } = createRequire(import.meta.url)('./programs/addon.cjs').addon();
  const cpu = childrenCpuMs();
  const start = performance.now();
  await happen();
  return { ms: performance.now() - start, cpuMs: childrenCpuMs() - cpu };
}

/** Starts a program that prints "listening on PORT"; resolves to { port, service, ended }. */
async function startService(peer, command, folder) {
  const { command: whole, env } = peers[peer].setUp(command, folder);
  const [file, ...args] = whole;
  const service = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const errors = text(service.stderr);
  const ended = once(service, 'close').then(async ([status]) => {
    if (status !== 0) throw new Error(`${peer}: the service ended with ${status}\n${await errors}`);
  });
  const lines = createInterface({ input: service.stdout });
  const listening = new Promise((resolve) => {
    lines.on('line', (line) => {
      const port = /^listening on (\d+)$/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
  const port = await Promise.race([listening, ended]);
  return { port, service, ended };
}

function request(port, path, agent) {
  return new Promise((resolve, reject) => {
    get({ port, path, agent, host: '127.0.0.1' }, (response) => resolve(text(response))).on('error', reject);
  });
}

/** Requests by 16 connections for so long. */
async function serve(peer, { seconds }, folder) {
  const { port, ended } = await startService(peer, program('service.mjs'), folder);
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  let n = 0;
  const load = async (milliseconds) => {
    const times = [];
    const end = performance.now() + milliseconds;
    const connection = async () => {
      while (performance.now() < end) {
        const start = performance.now();
        await request(port, `/${n++}`, agent);
        times.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: 16 }, connection));
    return times;
  };
  await load(seconds * 300); // until the code is compiled
  const start = performance.now();
  const times = await load(seconds * 1000);
  const perSecond = (times.length * 1000) / (performance.now() - start);
  agent.destroy();
  const { cpuUs } = JSON.parse(await request(port, '/stop'));
  await ended;
  return { perSecond, p99Ms: percentile(times, 0.99), cpuUs: cpuUs / n };
}

/** The example service with four forked workers: its start, requests one after the other, its end. */
async function wholeRun(peer, { requests, calls }, folder) {
  const server = join(root, 'examples', 'level-service', 'server.js');
  const { port, service, ended } = await startService(peer, [process.execPath, server, '--workers=fork'], folder);
  await sendLoad({ port, requests, calls });
  service.kill('SIGTERM');
  await ended;
}

// heaptrack, valgrind and `forkheap run` are wrappers: a signal to them is not one to the program.
const ordinary = ['glibc', 'tcmalloc', 'exact', 'sampled'];
const slow = ['libunwind', 'libgcc', 'massif', 'dhat', 'jemallocExact'];
const others = ['libgcc', 'sampling', 'heaptrack', 'jemalloc', 'v8'];

const ns = { ns: { name: 'ns a pair', digits: 1 }, cpuNs: { name: 'CPU ns', digits: 1 } };
const ms = { ms: { name: 'ms', digits: 0 }, cpuMs: { name: 'CPU ms', digits: 0 } };
const rate = {
  perSecond: { name: 'per second', digits: 0 },
  p99Ms: { name: 'p99, ms', digits: 2 },
  cpuUs: { name: 'CPU µs each', digits: 0 },
};

/** A tree is smaller where a run would take minutes. */
const levelsFor = (peer, size) => (slow.includes(peer) ? Math.min(size.levels, 14) : size.levels);

const tree = (kind, title, added, note) => ({
  title,
  note,
  metrics: ns,
  peers: [...ordinary, ...others, ...added],
  size: { levels: 18, rounds: 2 },
  quick: { levels: 8, rounds: 1 },
  run: (peer, size, folder) => figures(peer, program('tree.cjs', kind, levelsFor(peer, size), size.rounds), folder),
});

const start = (title, variables, added, missing) => ({
  title,
  missing,
  metrics: ms,
  peers: [...ordinary, 'run', ...others, ...added],
  run: (peer, _size, folder) => timed(() => runToEnd(peer, [process.execPath, '-e', '1'], folder, variables)),
});

const threads = (count) => ({
  title: `(e) the tree of (a) in ${count} thread${count === 1 ? '' : 's'} at a time; time that passes by all pairs`,
  metrics: ns,
  peers: [...ordinary, 'libgcc', 'heaptrack', 'jemalloc'],
  size: { levels: 16, rounds: 2 },
  quick: { levels: 8, rounds: 1 },
  run: (peer, size, folder) => figures(peer, program('threads.cjs', count, levelsFor(peer, size), size.rounds), folder),
});

export const workloads = {
  many: tree(
    'many',
    '(a) new + delete of 24-byte nodes in an addon, 2^18 nodes on as many stacks, about 25 frames deep',
    ['libunwind', 'jemallocExact', 'massif', 'dhat'],
    'libunwind, libgcc, valgrind and jemalloc with every allocation: 2^14 nodes.',
  ),
  few: tree('few', '(a) the same on 18 stacks', [], 'libgcc: 2^14 nodes.'),
  start: start('(b) `node -e 1`', {}, ['libunwind', 'dhat']),
  certificates: start(
    '(b) `node -e 1` with NODE_EXTRA_CA_CERTS, which makes Node allocate much at its start',
    { NODE_EXTRA_CA_CERTS: certificates },
    [],
    hasCertificates ? undefined : `no ${certificates}`,
  ),
  service: {
    title: '(c) HTTP service on leveldown, 16 connections',
    metrics: rate,
    peers: [...ordinary, 'libgcc', 'heaptrack', 'jemalloc', 'v8'],
    size: { seconds: 2 },
    quick: { seconds: 0.1 },
    run: serve,
  },
  images: {
    title: '(d) sharp: decode, resize and encode a photograph',
    missing: existsSync(join(root, 'bench', 'node_modules', 'sharp')) ? undefined : 'sharp is not installed',
    metrics: rate,
    peers: [...ordinary, 'libgcc', 'heaptrack', 'jemalloc', 'v8'],
    size: { count: 100 },
    quick: { count: 2 },
    run: (peer, { count }, folder) => figures(peer, program('images.mjs', count), folder),
  },
  threads1: threads(1),
  threads2: threads(2),
  threads4: threads(4),
  workers: {
    title: '(f) 50 short-lived workers by `child_process.fork`, two at a time',
    metrics: ms,
    peers: [...ordinary, 'jemalloc'],
    size: { count: 50 },
    quick: { count: 2 },
    run: (peer, { count }, folder) => timed(() => runToEnd(peer, program('workers.mjs', count), folder)),
  },
  run: {
    title: '(g) the example service with 4 forked workers: start, 40 requests of 100 `getMany()`, end',
    metrics: ms,
    peers: [...ordinary, 'jemalloc'],
    size: { requests: 40, calls: 100 },
    quick: { requests: 4, calls: 2 },
    run: (peer, size, folder) => timed(() => wholeRun(peer, size, folder)),
  },
  pause: {
    title: 'Longest wait of a thread that allocates, during a dump of 1,000,000 live blocks on 10,000 stacks',
    note: 'Idle: its longest wait in the same time without a dump. gperftools alone up to 2.15 drops what goes beyond 1 MiB: most of the stacks.',
    metrics: {
      pauseMs: { name: 'ms', digits: 1 },
      idleMs: { name: 'idle, ms', digits: 1 },
      dumpMs: { name: 'whole dump, ms', digits: 0 },
    },
    peers: ['exact', 'libgcc'],
    size: { blocks: 1_000_000, stacks: 10_000 },
    quick: { blocks: 1000, stacks: 10 },
    run: (peer, { blocks, stacks }, folder) =>
      figures(peer, program('pause.cjs', peer === 'exact' ? 'forkheap' : 'stock', blocks, stacks), folder),
  },
  memory: {
    title: 'Memory of the profiler',
    note: 'Growth of the resident memory against plain tcmalloc: 1,000,000 blocks on one stack, and 30,000 on as many.',
    metrics: {
      perBlock: { name: 'bytes a live block', digits: 0 },
      perStack: { name: 'bytes a stack', digits: 0 },
    },
    peers: ['exact', 'heaptrack'],
    size: { blocks: 1_000_000, stacks: 30_000 },
    quick: { blocks: 1000, stacks: 100 },
    async run(peer, { blocks, stacks }, folder) {
      const extra = async (...size) => {
        const { bytes } = await figures(peer, program('memory.cjs', ...size), folder);
        return bytes - (await figures('tcmalloc', program('memory.cjs', ...size), folder)).bytes;
      };
      const perBlock = (await extra(blocks, 1)) / blocks;
      return { perBlock, perStack: (await extra(stacks, stacks)) / stacks - perBlock };
    },
  },
};
