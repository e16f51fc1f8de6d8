// Feeds damaged dumps, pprof files and manifests to the parsers.
//
//   npm run fuzz -- --count 1000000 --seed 1
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '100000' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
  },
});
const started = performance.now();
console.log(`seed ${values.seed}`);
for (const result of fuzz(Number(values.count), Number(values.seed))) {
  const { name, inputs, accepted, refused, slowestMs, grownBytes } = result;
  const slowest = `${slowestMs.toFixed(1)} ms the slowest, heap at most ${Math.round(grownBytes / 2 ** 20)} MiB larger`;
  console.log(`${name}: ${inputs} inputs, ${accepted} read, ${refused} refused, ${slowest}`);
}
console.log(`${((performance.now() - started) / 1000).toFixed(0)} s`);
