// The example service under forkheap with constant load, whose workers are killed and replaced all the time.
//
//   npm run soak -- [--minutes 1 | --kills N] [--workers fork|cluster] [--output FILE.md] [--json]
//
// Status 1 when a process that lived long enough has no whole profile, or memory or descriptors grow.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { sendLoad } from '../../examples/level-service/load.js';
import { buildFolder, circumstances, forkheap, median, plainEnv, report, root, table, tempFolder } from '../common.mjs';

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
    ...[`--workers=${options.workers}`, '--leveldown=leveldown-fixed', '--count=3'],
  ],
  { env: plainEnv(), stdio: ['ignore', 'pipe', 'ignore'] },
);
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

/** Resident bytes and open descriptors of a process. */
function sizes(pid) {
  const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { rss: Number(rss?.[1]) * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

const seen = new Map(); // worker's pid -> when it was first seen
const answered = new Set(); // workers that are ready: the service gives up when one ends before
const killed = [];
const measured = [];
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
    if (turn % 5 === 0) measured.push(sizes(server));
    if (killed.length > 0 && now - killed.at(-1).at < killEveryMs) continue;
    const [oldest] = workers
      .filter((pid) => answered.has(pid) && now - seen.get(pid) >= oldEnoughMs)
      .sort((a, b) => seen.get(a) - seen.get(b));
    if (oldest === undefined) continue;
    const signal = killed.length % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
    process.kill(oldest, signal);
    killed.push({ pid: oldest, signal, at: now });
  }
}

const where = circumstances();
await Promise.all([load(), load(), load(), kill()]);
const minutes = ((Date.now() - started) / 60_000).toFixed(1);
if (service.exitCode === null) process.kill(server, 'SIGTERM');
const [status] = await ended;

// A pid may come again in a long run, so manifests are counted, not looked up.
const manifests = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8') || '{"dumps":[]}'));
const whole = (manifest) => {
  if (manifest.dumps.length === 0) return false;
  const text = readFileSync(join(folder, manifest.dumps.at(-1)), 'utf8');
  return text.startsWith('heap profile:') && text.includes('\nMAPPED_LIBRARIES:');
};
const wholePids = new Set(manifests.filter(whole).map((manifest) => manifest.pid));
const missing = killed.filter(({ pid }) => !wholePids.has(pid));
rmSync(folder, { recursive: true });

// The beginning is the first quarter, when caches have filled; the end the last quarter.
const quarter = Math.max(1, Math.floor(measured.length / 4));
const part = (what, from, to) => median(measured.slice(from, to).map((one) => one[what]));
const growth = (what) => [part(what, 0, quarter), part(what, -quarter)];
const [rssBefore, rssAfter] = growth('rss');
const [descriptorsBefore, descriptorsAfter] = growth('descriptors');
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

const result = {
  minutes,
  status,
  requests,
  refused,
  lost,
  processes: seen.size + 1,
  killed: killed.length,
  whole: wholePids.size,
  missing,
  rss: [rssBefore, rssAfter],
  descriptors: [descriptorsBefore, descriptorsAfter],
};
// The service's own heap breathes by some MiB.
const good =
  status === 0 &&
  missing.length === 0 &&
  wholePids.has(server) &&
  requests > 0 &&
  rssAfter < rssBefore * 1.25 + (16 << 20) &&
  descriptorsAfter <= descriptorsBefore + lost + 4;
const text = `${table(
  [
    'minutes',
    'requests',
    'refused',
    'processes',
    'killed',
    'whole profiles',
    'killed without one',
    'server RSS, MiB',
    'server descriptors',
  ],
  [
    [
      minutes,
      requests,
      refused,
      result.processes,
      killed.length,
      wholePids.size,
      missing.length,
      `${mebibytes(rssBefore)} → ${mebibytes(rssAfter)}`,
      `${descriptorsBefore} → ${descriptorsAfter}`,
    ],
  ],
)}
Server: first quarter of the run → last quarter. Half of the killed got SIGKILL, half SIGTERM. ${lost} connections were lost on their way to a killed worker. ${good ? 'Good.' : 'NOT good.'}

Measured ${where}.
`;
if (options.json) console.log(JSON.stringify({ ...result, good }));
else report(text, options.output);
process.exitCode = good ? 0 : 1;
