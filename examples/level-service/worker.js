// One worker: an HTTP server in front of a LevelDB database.
//
//   GET /get-many?n=100    reads the same 20 records 100 times; answers { pid, calls }
//
// leveldown 6.1.0 copies every key given to getMany() and never frees the copies (Level/leveldown#790): one call
// loses KEYS * KEY_BYTES bytes.
import cluster from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { KEY_BYTES, KEYS } from './workload.js';

const [leveldown, folder, port] = process.argv.slice(2);
const { default: open } = await import(leveldown);

const database = open(folder);
const openDatabase = promisify(database.open.bind(database));
const closeDatabase = promisify(database.close.bind(database));
const batch = promisify(database.batch.bind(database));
const getMany = promisify(database.getMany.bind(database));

const keys = Array.from({ length: KEYS }, (_, i) => Buffer.from(`user:${i}:`.padEnd(KEY_BYTES, '.')));
let calls = 0;

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const n = Number(url.searchParams.get('n') ?? 1);
  if (url.pathname !== '/get-many' || !Number.isInteger(n) || n < 1) {
    response.writeHead(404).end('try /get-many?n=100\n');
    return;
  }
  for (let i = 0; i < n; i++) {
    await getMany(keys);
    calls++;
  }
  response.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify({ pid: process.pid, calls }));
}

const answering = new Set();
const server = createServer((request, response) => {
  const work = answer(request, response)
    .catch((error) => response.destroy(error))
    .finally(() => answering.delete(work));
  answering.add(work);
});

let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  if (cluster.isWorker) server.close();
  await Promise.all(answering);
  await closeDatabase();
  if (process.connected) process.disconnect(); // nothing is left to wait for: the process ends by itself
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
process.on('disconnect', stop); // the primary is gone

await openDatabase();
await batch(keys.map((key) => ({ type: 'put', key, value: 'x'.repeat(100) })));

if (cluster.isWorker) {
  server.listen(Number(port), '127.0.0.1');
  await once(server, 'listening');
} else {
  process.on('message', (message, socket) => {
    if (message.type !== 'connection' || !socket) return;
    server.emit('connection', socket);
    socket.resume();
  });
}
process.send({ type: 'ready' });
