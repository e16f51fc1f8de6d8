// The addon of the benchmarks, and how a program hands its figures to the bench.
const { join } = require('node:path');

exports.addon = () => require(join(__dirname, '../../build/bench/bench.node'));
exports.result = (figures) => console.log(`bench: ${JSON.stringify(figures)}`);
