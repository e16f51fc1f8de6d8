// Holds BLOCKS native blocks and BALLAST bytes more, says { rss }, and for each number that it reads from stdin starts
// `true` so often and prints how long that took: { failed, callUs: […], endUs: […] } — the call of spawn(), and until
// the end of `true`. With LOAD threads at work.
//
//   node process.cjs BLOCKS BALLAST LOAD AT_ONCE
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { scrypt } = require('node:crypto');
const { createInterface } = require('node:readline');
const { Worker } = require('node:worker_threads');

const [blocks, ballast, load, atOnce] = process.argv.slice(2).map(Number);
const { leaky } = require('../../test/fixtures/programs/leaky.cjs');

const busy = `const kept = []; setInterval(() => {
  for (let i = 0; i < 200; i++) kept[i % 50] = Buffer.allocUnsafeSlow(100 + i * 37);
}, 0);`;

async function start(spawns) {
  const callUs = [];
  const endUs = [];
  let failed = 0;
  let left = spawns;
  const chain = async () => {
    while (left-- > 0) {
      const before = process.hrtime.bigint();
      const child = spawn('true', { stdio: 'ignore' });
      callUs.push(Number(process.hrtime.bigint() - before) / 1000);
      const [code] = await once(child, 'exit');
      endUs.push(Number(process.hrtime.bigint() - before) / 1000);
      if (code !== 0) failed++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, chain));
  return { failed, callUs, endUs };
}

async function main() {
  leaky.leak(blocks, 48);
  const filled = Buffer.alloc(ballast, 1);
  const workers = Array.from({ length: load }, () => new Worker(busy, { eval: true }));
  await Promise.all(workers.map((worker) => once(worker, 'online')));
  let working = load > 0;
  const keepPoolBusy = () => working && scrypt('a', 'b', 32, { N: 1024 }, keepPoolBusy);
  for (let i = 0; i < load; i++) keepPoolBusy();
  console.log(JSON.stringify({ rss: process.memoryUsage.rss(), kept: filled.length }));
  for await (const line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await start(Number(line))));
  working = false;
  await Promise.all(workers.map((worker) => worker.terminate()));
}
main();
