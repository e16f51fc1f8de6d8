// Starts a trivial program COUNT times, four at a time, while worker threads and libuv's thread pool allocate.
//
//   node under-load.mjs COUNT
//
// Prints {"spawned":…,"failed":…}
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { deflate, deflateSync } from 'node:zlib';

const data = Buffer.alloc(64 << 10, 'native blocks ');
const threads = 4;
const atOnce = 4;

async function allocateInPool(stop) {
  const deflateInPool = promisify(deflate);
  while (!stop.aborted) await Promise.all(Array.from({ length: 4 }, () => deflateInPool(data)));
}

async function spawnAll(count) {
  let started = 0;
  let failed = 0;
  const one = async () => {
    while (started < count) {
      started++;
      const [code] = await once(spawn('/bin/true', { stdio: 'ignore' }), 'exit');
      if (code !== 0) failed++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return { spawned: started, failed };
}

if (isMainThread) {
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url), { workerData: stopped }));
  const stop = new AbortController();
  const pool = allocateInPool(stop.signal);
  const result = await spawnAll(Number(process.argv[2]));
  stop.abort();
  await pool;
  Atomics.store(stopped, 0, 1);
  await Promise.all(workers.map((worker) => once(worker, 'exit')));
  console.log(JSON.stringify(result));
} else {
  while (Atomics.load(workerData, 0) === 0) deflateSync(data);
}
