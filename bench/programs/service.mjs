// An HTTP service on leveldown: GET /N stores record N and reads twenty. Prints its port; GET /stop ends it.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const require = createRequire(new URL('../../examples/level-service/server.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'forkheap-bench-level-'));
const database = require('leveldown-fixed')(folder);
const [open, close, put, getMany] = ['open', 'close', 'put', 'getMany'].map((name) =>
  promisify(database[name].bind(database)),
);

const records = 1000;
const value = 'x'.repeat(500);
const key = (n) => `user:${String(n % records).padStart(8, '0')}`;

await open();
for (let i = 0; i < records; i++) await put(key(i), value);

const server = createServer(async (request, response) => {
  if (request.url === '/stop') {
    const { user, system } = process.cpuUsage();
    response.setHeader('connection', 'close').end(JSON.stringify({ cpuUs: user + system }));
    server.close();
    server.closeIdleConnections();
    await close();
    rmSync(folder, { recursive: true });
    return;
  }
  const n = Number(request.url.slice(1));
  await put(key(n), value);
  const found = await getMany(Array.from({ length: 20 }, (_, i) => key(n + i * 7)));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ n, values: found.map(String) }));
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
