// The primary process: starts the workers, keeps their number, and stops them when it is told to stop.
//
//   node server.js --workers=fork       workers by child_process.fork, this process hands them the connections
//   node server.js --workers=cluster    workers by node:cluster
//   node server.js --leveldown=leveldown-fixed    the release without the leak
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { clusterWorkers } from './cluster-workers.js';
import { forkWorkers } from './fork-workers.js';
import { WorkerPool } from './worker-pool.js';

const { values: options } = parseArgs({
  options: {
    workers: { type: 'string', default: 'fork' },
    count: { type: 'string', default: '4' },
    port: { type: 'string', default: '0' },
    leveldown: { type: 'string', default: process.env.LEVELDOWN ?? 'leveldown' },
    data: { type: 'string' },
  },
});

const kinds = { fork: forkWorkers, cluster: clusterWorkers };
if (!Object.hasOwn(kinds, options.workers)) {
  console.error(`--workers is 'fork' or 'cluster', not '${options.workers}'`);
  process.exit(2);
}

// LevelDB lets one process open a database at a time, so each worker has a folder of its own.
const data = options.data ?? (await mkdtemp(join(tmpdir(), 'level-service-')));
await mkdir(data, { recursive: true });

const { spawn, listen } = kinds[options.workers](options.leveldown, Number(options.port));
const pool = new WorkerPool(Number(options.count), (slot) => spawn(join(data, `db-${slot}`)));

let server;
let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  server?.close();
  await pool.stop();
  if (options.data === undefined) await rm(data, { recursive: true, force: true });
  process.exitCode = 0;
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

await pool.start();
if (!stopping) {
  server = await listen(pool);
  console.log(`listening on ${server.port}`);
}
