// windows.cjs LEVELS WORK SECONDS: builds and frees a tree of 24-byte nodes, with WORK thousand steps of JavaScript after each, for
// SECONDS of CPU time. The figure is CPU time a turn, in µs, in each quarter of a second.
const { addon, result } = require('./addon.cjs');

const [levels, work, seconds] = process.argv.slice(2).map(Number);
const tree = addon().tree;
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

let sum = 0;
function turn() {
  tree(true, levels, 1);
  for (let i = 0; i < work * 1000; i++) sum = (sum * 31 + i) % 1_000_003;
}

const windows = [];
for (let begin = cpu(), end = begin + seconds * 1e6; begin < end; ) {
  let turns = 0;
  let now = begin;
  while (now < begin + 250_000) {
    for (let i = 0; i < 8; i++) turn();
    turns += 8;
    now = cpu();
  }
  windows.push((now - begin) / turns);
  begin = now;
}
result({ windows, sum });
