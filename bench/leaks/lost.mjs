// Calls of a published addon that lose memory, or of its fixed version, in a process that the leak checker watches:
//
//   node bench/leaks/lost.mjs leveldown|leveldown-fixed|sqlite3-leaks|sqlite3 CALLS
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const [name, calls] = process.argv.slice(2);
const methods =
  (object) =>
  (method, ...args) =>
    promisify(object[method].bind(object))(...args);

/** 6.1.0 never frees the keys of getMany: 20 buffers of 400 bytes a call. */
async function leveldown() {
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-leveldown-'));
  const require = createRequire(new URL('../../examples/level-service/package.json', import.meta.url));
  const call = methods(require(name)(join(folder, 'db')));
  await call('open', {});
  const keys = Array.from({ length: 20 }, (_, i) => String(i).padEnd(399, '.'));
  for (let i = 0; i < Number(calls); i++) await call('getMany', keys, {});
  await call('close');
  rmSync(folder, { recursive: true });
}

/** A query that fails after 200 rows: 5.1.6 drops them, on libuv's pool, 62,200 bytes (known.mjs has the sum). */
async function sqlite3() {
  const { Database } = createRequire(import.meta.url)(name);
  const db = await new Promise((resolve) => {
    const made = new Database(':memory:', () => resolve(made));
  });
  const call = methods(db);
  await call('run', 'CREATE TABLE numbers (number INTEGER)');
  for (let i = 0; i <= 200; i++) await call('run', 'INSERT INTO numbers VALUES (?)', [i]);
  const query = `SELECT number, json(CASE number WHEN 200 THEN 'no' ELSE '"${'x'.repeat(148)}"' END) AS text FROM numbers`;
  for (let i = 0; i < Number(calls); i++) await call('all', query).catch(() => {});
  await call('close');
}

await (name.startsWith('leveldown') ? leveldown() : sqlite3());
