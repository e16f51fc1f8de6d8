// memory.cjs BLOCKS STACKS: how the resident memory grows when blocks of 64 bytes are kept.
const { addon, result } = require('./addon.cjs');

const [blocks, stacks] = process.argv.slice(2).map(Number);
const bench = addon();
bench.hold(1, 1000, 64);
const before = process.memoryUsage.rss();
bench.hold(stacks, blocks, 64);
result({ bytes: process.memoryUsage.rss() - before });
