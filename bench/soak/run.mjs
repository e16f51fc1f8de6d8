// The example service under forkheap with constant load, whose workers are killed and replaced all the time.
//
//   npm run soak -- [--minutes 1 | --kills N] [--workers fork|cluster] [--output FILE.md] [--json]
//
// One worker is left alone: its memory, its descriptors and those of the server are looked at all the time.
// Status 1 when a process has no whole profile, forkheap complains, or memory or descriptors grow.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { sendLoad } from '../../examples/level-service/load.js';
import {
  buildFolder,
  circumstances,
  forkheap,
  median,
  percentile,
  plainEnv,
  report,
  root,
  table,
  tempFolder,
} from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    kills: { type: 'string' },
    workers: { type: 'string', default: 'fork' },
    output: { type: 'string', default: join(buildFolder, 'soak.md') },
    json: { type: 'boolean', default: false },
  },
});
// A worker is killed only when it has answered so long: its first rolling dump is due after 1 s.
const dumpEveryMs = 1000;
const oldEnoughMs = 3 * dumpEveryMs;
const killEveryMs = 2000;
const answerMs = 5000;

const folder = tempFolder('soak');
const service = spawn(
  forkheap()[0],
  [
    ...forkheap('run', '-q', '--dump-every', `${dumpEveryMs / 1000}s`, '--prefix', join(folder, 'p')).slice(1),
    ...['--', process.execPath, join(root, 'examples/level-service/server.js')],
    ...[`--workers=${options.workers}`, '--leveldown=leveldown-fixed', '--count=4'],
  ],
  { env: plainEnv(), stdio: ['ignore', 'pipe', 'pipe'] },
);
const complaints = [];
createInterface({ input: service.stderr }).on('line', (line) => {
  if (line.startsWith('forkheap')) complaints.push(line);
});
const ended = once(service, 'exit');
let port;
for await (const line of createInterface({ input: service.stdout })) {
  port = /^listening on (\d+)/.exec(line)?.[1];
  if (port !== undefined) break;
}
if (port === undefined) throw new Error('the service did not start');
service.stdout.resume();

/** Not /proc/PID/task/TID/children: not every kernel has it. */
function childrenOf(parent) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, ppid] = text.slice(text.lastIndexOf(')') + 2).split(' ');
        return Number(ppid) === parent && state !== 'Z';
      } catch {
        return false; // it has ended
      }
    });
}
const isNode = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('server.js');
  } catch {
    return false;
  }
};
// forkheap's own process may have become the service, or be above it.
const server = [...childrenOf(service.pid).filter(isNode), service.pid][0];

/** What a dump holds: { blocks, stacks }; undefined when it is not whole. */
function readDump(file) {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const blocks = /^heap profile: *(\d+): /.exec(text)?.[1];
  const end = text.indexOf('\nMAPPED_LIBRARIES:');
  if (blocks === undefined || end < 0) return undefined;
  return {
    blocks: Number(blocks),
    stacks: text
      .slice(0, end)
      .split('\n')
      .filter((line) => line.includes('] @')).length,
  };
}

/** When the latest dump of a process was written. Files of an earlier process with its pid may be there too. */
function latestDump(pid) {
  const own = new RegExp(`^p_${pid}(-\\d+)?\\.\\d+\\.heap$`);
  const times = readdirSync(folder)
    .filter((name) => own.test(name))
    .map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return Math.max(0, ...times);
}

/** Resident bytes, open descriptors, live blocks and stacks of a process. */
function sizes(pid) {
  const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  const descriptors = readdirSync(`/proc/${pid}/fd`).length;
  return { rss: Number(rss?.[1]) * 1024, descriptors, ...readDump(`${join(folder, 'p')}_${pid}.0001.heap`) };
}

const seen = new Map(); // living worker's pid -> when it was first seen
const dying = new Set(); // workers that were sent a signal
const lived = []; // the pids of those that have gone; one may come twice in a long run
const answered = new Set(); // workers that are ready: the service gives up when one ends before
const killed = [];
let spared; // the first worker that answers
const measured = { server: [], spared: [] };
let requests = 0;
let refused = 0;
let lost = 0; // connections on their way to a worker that was killed: Node never closes them in the primary
const started = Date.now();
const until = started + Number(options.minutes) * 60_000;
const atMost = started + Math.max(Number(options.minutes) * 60_000, Number(options.kills ?? 0) * 20_000);
const goOn = () =>
  service.exitCode === null &&
  Date.now() <= atMost &&
  (options.kills === undefined ? Date.now() < until : killed.length < Number(options.kills));

async function load() {
  while (goOn()) {
    try {
      const workers = await Promise.race([sendLoad({ port, requests: 5, calls: 20 }), sleep(answerMs, null)]);
      for (const { pid } of workers ?? []) answered.add(pid);
      spared ??= workers?.[0]?.pid;
      if (workers === null) lost++;
      else requests += 5;
    } catch {
      refused++; // its worker was killed
    }
    await sleep(50);
  }
}

async function kill() {
  for (let turn = 0; goOn(); turn++) {
    await sleep(200);
    const now = Date.now();
    const workers = childrenOf(server);
    for (const pid of workers) if (!seen.has(pid)) seen.set(pid, now);
    for (const pid of [...seen.keys()].filter((pid) => !workers.includes(pid))) {
      lived.push(pid);
      for (const set of [seen, answered, dying]) set.delete(pid);
    }
    if (turn % 5 === 0 && spared !== undefined) {
      measured.server.push(sizes(server));
      measured.spared.push(sizes(spared));
    }
    if (killed.length > 0 && now - killed.at(-1).at < killEveryMs) continue;
    const [oldest] = workers
      .filter((pid) => pid !== spared && !dying.has(pid) && answered.has(pid) && now - seen.get(pid) >= oldEnoughMs)
      .sort((a, b) => seen.get(a) - seen.get(b));
    if (oldest === undefined) continue;
    const signal = killed.length % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
    const dumpedAt = latestDump(oldest);
    process.kill(oldest, signal);
    dying.add(oldest);
    killed.push({ pid: oldest, signal, at: now, dumpAgeMs: Date.now() - dumpedAt });
  }
}

const where = circumstances();
await Promise.all([load(), load(), load(), kill()]);
const minutes = ((Date.now() - started) / 60_000).toFixed(1);
if (service.exitCode === null) process.kill(server, 'SIGTERM');
const [status] = await ended;

const manifests = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8') || '{"dumps":[]}'));
const whole = manifests.filter(
  ({ dumps }) => dumps.length > 0 && dumps.every((name) => readDump(join(folder, name)) !== undefined),
);
const count = (pids) => pids.reduce((counts, pid) => counts.set(pid, (counts.get(pid) ?? 0) + 1), new Map());
const wholePids = count(whole.map(({ pid }) => pid));
const lives = [server, ...lived, ...seen.keys()];
const missing = [...count(lives)].filter(([pid, times]) => (wholePids.get(pid) ?? 0) < times).map(([pid]) => pid);
rmSync(folder, { recursive: true });

// The beginning is the first quarter, when caches have filled; the end the last quarter.
function growth(all) {
  const quarter = Math.max(1, Math.floor(all.length / 4));
  const part = (what, from, to) =>
    median(
      all
        .slice(from, to)
        .map((one) => one[what])
        .filter((one) => one !== undefined),
    );
  const most = Object.fromEntries(
    ['blocks', 'stacks'].map((what) => [what, Math.max(...all.map((one) => one[what] ?? 0))]),
  );
  return {
    ...Object.fromEntries(
      ['rss', 'descriptors', 'blocks', 'stacks'].map((what) => [what, [part(what, 0, quarter), part(what, -quarter)]]),
    ),
    // By what `npm run bench` says that gperftools keeps of a block and of a stack.
    profilerBytes: most.blocks * 37 + most.stacks * 382,
  };
}
const grown = { server: growth(measured.server), spared: growth(measured.spared) };
const dumpAges = killed.filter(({ signal }) => signal === 'SIGKILL').map(({ dumpAgeMs }) => dumpAgeMs);
const dumpAgeMs = { median: median(dumpAges), p99: percentile(dumpAges, 0.99), most: Math.max(...dumpAges) };

const result = {
  minutes,
  status,
  requests,
  refused,
  lost,
  processes: lives.length,
  killed: killed.length,
  whole: whole.length,
  missing,
  dumpAgeMs,
  complaints,
  ...grown,
};
// The service's own heap breathes by some MiB.
const steady = ({ rss, descriptors }) =>
  rss[1] < rss[0] * 1.25 + (16 << 20) && descriptors[1] <= descriptors[0] + lost + 4;
const good =
  status === 0 &&
  missing.length === 0 &&
  complaints.length === 0 &&
  wholePids.has(server) &&
  requests > 0 &&
  steady(grown.server) &&
  steady(grown.spared);
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
const text = `${table(
  [
    'minutes',
    'requests',
    'refused',
    'processes',
    'killed',
    'whole profiles',
    'without one',
    'age of the latest dump at a SIGKILL, s',
  ],
  [
    [
      minutes,
      requests,
      refused,
      lives.length,
      killed.length,
      whole.length,
      missing.length,
      ['median', 'p99', 'most'].map((of) => `${of} ${(dumpAgeMs[of] / 1000).toFixed(1)}`).join(', '),
    ],
  ],
)}
${table(
  ['first quarter of the run → last', 'RSS, MiB', 'descriptors', 'live blocks', 'stacks', 'profiler at most, MiB'],
  Object.entries({ server: grown.server, 'the worker that is left alone': grown.spared }).map(([name, of]) => [
    name,
    of.rss.map(mebibytes).join(' → '),
    ...['descriptors', 'blocks', 'stacks'].map((what) => of[what].join(' → ')),
    mebibytes(of.profilerBytes),
  ]),
)}
Half of the killed got SIGKILL, half SIGTERM. ${lost} connections were lost on their way to a killed worker; ${complaints.length} lines of forkheap on stderr. ${good ? 'Good.' : 'NOT good.'}

Measured ${where}.
`;
if (options.json) console.log(JSON.stringify({ ...result, good }));
else report(text, options.output);
process.exitCode = good ? 0 : 1;
