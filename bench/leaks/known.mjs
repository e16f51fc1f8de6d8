// The growth check over a known leak of a real addon, or its fixed version, in this process, which is preloaded. Prints JSON.
//
//   node known.mjs leveldown|leveldown-fixed|sqlite3-leaks|sqlite3|better-sqlite3
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkNativeLeaks } from '../../lib/index.js';

const name = process.argv[2];
const methods =
  (object) =>
  (method, ...args) =>
    promisify(object[method].bind(object))(...args);

/** 6.1.0 never frees the keys of getMany: a buffer of length + 1 each. */
async function leveldown() {
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-leveldown-'));
  const require = createRequire(new URL('../../examples/level-service/package.json', import.meta.url));
  const call = methods(require(name)(join(folder, 'db')));
  await call('open');
  const keys = Array.from({ length: 20 }, (_, i) => String(i).padEnd(399, '.'));
  const verdict = await checkNativeLeaks(() => call('getMany', keys), { iterations: 20 });
  await call('close');
  rmSync(folder, { recursive: true });
  return { verdict, known: 20 * 400 };
}

const ROWS = 200;
const LENGTH = 150;

/**
 * A query that fails after 200 rows: 5.1.6 then drops the rows. By its src/statement.h each holds, on x86-64, a vector (24 bytes)
 * with room for two pointers (16), an integer (48), a text (72) and its value (LENGTH + 1).
 */
async function sqlite3() {
  const { Database } = createRequire(import.meta.url)(name);
  const db = await new Promise((resolve) => {
    const made = new Database(':memory:', () => resolve(made));
  });
  const call = methods(db);
  await call('run', 'CREATE TABLE numbers (number INTEGER)');
  for (let i = 0; i <= ROWS; i++) await call('run', 'INSERT INTO numbers VALUES (?)', [i]);
  // json() fails at the last row.
  const query = `SELECT number, json(CASE number WHEN ${ROWS} THEN 'no' ELSE '"${'x'.repeat(LENGTH - 2)}"' END) AS text FROM numbers`;
  const fn = async () => {
    const error = await call('all', query).catch((reason) => reason);
    if (!/malformed JSON/.test(error.message)) throw error;
  };
  const verdict = await checkNativeLeaks(fn, { iterations: 20 });
  await call('close');
  return { verdict, known: ROWS * (24 + 16 + 48 + 72 + LENGTH + 1) };
}

function betterSqlite3() {
  const Database = createRequire(import.meta.url)('better-sqlite3');
  const db = new Database(':memory:');
  db.exec('CREATE TABLE texts (text TEXT)');
  const [insert, select] = [db.prepare('INSERT INTO texts VALUES (?)'), db.prepare('SELECT text FROM texts')];
  const fn = () => {
    insert.run('x'.repeat(1000));
    select.all();
    db.exec('DELETE FROM texts');
  };
  return checkNativeLeaks(fn, { iterations: 100 }).then((verdict) => ({ verdict, known: null }));
}

const makers = {
  leveldown,
  'leveldown-fixed': leveldown,
  'sqlite3-leaks': sqlite3,
  sqlite3,
  'better-sqlite3': betterSqlite3,
};
const { verdict, known } = await makers[name]();
const packages = [...new Set(verdict.findings.map(({ owner }) => owner))];
const { leaks, bytesPerIteration, objectsPerIteration, iterations, duration } = verdict;
console.log(
  JSON.stringify({ name, leaks, packages, bytesPerIteration, objectsPerIteration, known, iterations, duration }),
);
process.exit();
