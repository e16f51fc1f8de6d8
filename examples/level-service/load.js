// Sends requests to the service and reports how many getMany() calls each worker has answered.
//
//   node load.js --port=8080 [--requests=40] [--calls=100] [--json=FILE]
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { BYTES_LOST_PER_CALL } from './workload.js';

function getJson(url) {
  return new Promise((resolve, reject) => {
    // A connection for each request: the service gives connections, not requests, to its workers in turn.
    const request = get(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(body));
        else reject(new Error(`${url}: status ${response.statusCode}`));
      });
    });
    request.on('error', reject);
  });
}

/**
 * Sends `requests` requests of `calls` getMany() calls each, one after the other.
 * Resolves to one entry for each worker that answered: { pid, requests, calls, bytes }, where `bytes` is what a
 * leveldown that leaks has lost.
 */
export async function sendLoad({ port, requests = 40, calls = 100 }) {
  const workers = new Map();
  for (let i = 0; i < requests; i++) {
    const answer = await getJson(`http://127.0.0.1:${port}/get-many?n=${calls}`);
    const worker = workers.get(answer.pid) ?? { pid: answer.pid, requests: 0, calls: 0, bytes: 0 };
    worker.requests++;
    worker.calls = answer.calls;
    worker.bytes = answer.calls * BYTES_LOST_PER_CALL;
    workers.set(answer.pid, worker);
  }
  return [...workers.values()].sort((a, b) => a.pid - b.pid);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      requests: { type: 'string', default: '40' },
      calls: { type: 'string', default: '100' },
      json: { type: 'string' },
    },
  });
  const workers = await sendLoad({
    port: Number(values.port),
    requests: Number(values.requests),
    calls: Number(values.calls),
  });
  for (const { pid, calls, bytes } of workers) console.log(`worker ${pid}: ${calls} calls, ${bytes} bytes of keys`);
  if (values.json) writeFileSync(values.json, `${JSON.stringify(workers, null, 2)}\n`);
}
