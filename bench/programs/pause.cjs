// pause.cjs forkheap|stock BLOCKS STACKS: how long a dump keeps a thread that allocates from going on.
const { addon, result } = require('./addon.cjs');

const [profiler, blocks, stacks] = process.argv.slice(2);
const bench = addon();
bench.hold(Number(stacks), Number(blocks), 64);
const dump = profiler === 'stock' ? bench.stockDump : () => require('../../lib/cjs/index.js').heapProfilerDump('bench');
dump(); // the first also loads what it needs

bench.startProbe();
const start = process.hrtime.bigint();
dump();
const dumpMs = Number(process.hrtime.bigint() - start) / 1e6;
const pauseMs = bench.stopProbe() / 1e6;
// The same time without a dump: what the machine itself takes.
bench.startProbe();
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, dumpMs);
const idleMs = bench.stopProbe() / 1e6;
result({ pauseMs, idleMs, dumpMs });
