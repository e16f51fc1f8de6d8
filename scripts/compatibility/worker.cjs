// A worker of pm2 whose leveldown 6.1.0 loses 50 × 20 keys; it says so, and stays until it is told to end.
const { join } = require('node:path');
const { promisify } = require('node:util');

const keys = Array.from({ length: 20 }, (_, i) => Buffer.from(`key:${i}:`.padEnd(200, '.')));

async function work() {
  const database = require('leveldown')(join(process.env.DATA, `db-${process.env.NODE_APP_INSTANCE}`));
  await promisify(database.open.bind(database))({});
  for (let i = 0; i < 50; i++) await promisify(database.getMany.bind(database))(keys, {});
  process.send('ready');
  if (process.env.END === '1') process.exit();
  setInterval(() => {}, 1e6);
}
work();
