// A service of two forked workers; leveldown 6.1.0 loses a copy of every key given to getMany().
const { fork } = require('node:child_process');
const { join } = require('node:path');
const { promisify } = require('node:util');

const [folder] = process.argv.slice(2);
const { DATA: data = __dirname, ROUNDS: rounds = '50' } = process.env;
const keys = Array.from({ length: 20 }, (_, i) => Buffer.from(`key:${i}:`.padEnd(200, '.')));

async function work() {
  const database = require('leveldown')(folder);
  await promisify(database.open.bind(database))({});
  for (let i = 0; i < rounds; i++) await promisify(database.getMany.bind(database))(keys, {});
  await promisify(database.close.bind(database))();
}

if (folder !== undefined) work();
else for (const name of ['one', 'two']) fork(__filename, [join(data, `db-${name}`)]);
