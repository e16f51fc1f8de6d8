// Holds BLOCKS native blocks and BALLAST bytes more, says { rss, anonymous, huge, mappings } (bytes; the last is a
// number), and for each line "spawn TIMES" that it reads from stdin starts `true` so often and prints how long that took:
// { failed, callUs: […], endUs: […] } — the call of spawn(), and until the end of `true`. With LOAD threads at work. For
// a line "STEP TIMES" it prints what the addon PARTS (parts.cc) measures of that step.
//
//   node process.cjs PARTS BLOCKS BALLAST LOAD AT_ONCE
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const { once } = require('node:events');
const { scrypt } = require('node:crypto');
const { createInterface } = require('node:readline');
const { Worker } = require('node:worker_threads');

const parts = require(process.argv[2]);
const [blocks, ballast, load, atOnce] = process.argv.slice(3).map(Number);
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

/** What a fork of this process has to copy, more or less. */
function memory() {
  const sums = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const bytes = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(sums)[1]) * 1024;
  return {
    rss: bytes('Rss'),
    anonymous: bytes('Anonymous'),
    huge: bytes('AnonHugePages'),
    mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').length - 1,
  };
}

async function main() {
  leaky.leak(blocks, 48);
  const filled = Buffer.alloc(ballast, 1);
  const workers = Array.from({ length: load }, () => new Worker(busy, { eval: true }));
  await Promise.all(workers.map((worker) => once(worker, 'online')));
  let working = load > 0;
  const keepPoolBusy = () => working && scrypt('a', 'b', 32, { N: 1024 }, keepPoolBusy);
  for (let i = 0; i < load; i++) keepPoolBusy();
  console.log(JSON.stringify({ ...memory(), kept: filled.length }));
  for await (const line of createInterface({ input: process.stdin })) {
    const [step, times] = line.split(' ');
    console.log(JSON.stringify(step === 'spawn' ? await start(Number(times)) : parts.measure(step, Number(times))));
  }
  working = false;
  await Promise.all(workers.map((worker) => worker.terminate()));
}
main();
