// The growth check over clean work, in this process, which is preloaded: a line of JSON for each check.
//
//   node clean.mjs [--times 5]
import { parseArgs } from 'node:util';
import { checkNativeLeaks } from '../../lib/index.js';
import { workloads } from '../../test/leaks/workloads/index.mjs';

const { values } = parseArgs({ options: { times: { type: 'string', default: '5' } } });
for (const [name, { calls, open }] of Object.entries(workloads)) {
  const { run, close } = await open();
  for (let i = 0; i < Number(values.times); i++) {
    const { leaks, reason, iterations, duration } = await checkNativeLeaks(run, { name, iterations: calls });
    console.log(JSON.stringify({ name, leaks, reason, iterations, duration }));
  }
  await close?.();
}
process.exit();
