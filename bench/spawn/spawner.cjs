// Holds native blocks, then starts a trivial program again and again.
//
//   node spawner.cjs BLOCKS BYTES SPAWNS [RSS]
//
// RSS: memory to hold altogether, in bytes. Prints {"rss":…,"callUs":[…],"wholeUs":[…]}: how long each spawn() took to
// return, and to the end of the program.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const leaky = require('../../test/fixtures/addons/leaky/build/Release/leaky.node');

const [blocks, bytes, spawns, wantedRss = 0] = process.argv.slice(2).map(Number);
const ballastBytes = 1 << 20;

async function main() {
  leaky.leak(blocks, bytes);
  const ballast = [];
  while (process.memoryUsage.rss() < wantedRss) ballast.push(Buffer.alloc(ballastBytes, 1));
  const callUs = [];
  const wholeUs = [];
  for (let i = 0; i < spawns; i++) {
    const start = process.hrtime.bigint();
    const child = spawn('/bin/true', { stdio: 'ignore' });
    callUs.push(Number((process.hrtime.bigint() - start) / 1000n));
    await once(child, 'exit');
    wholeUs.push(Number((process.hrtime.bigint() - start) / 1000n));
  }
  console.log(JSON.stringify({ rss: process.memoryUsage.rss(), ballast: ballast.length, callUs, wholeUs }));
}

main();
