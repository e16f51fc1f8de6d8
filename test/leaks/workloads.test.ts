// No alarm at clean work, once each. `npm run bench:leaks` does it five times, with addons that have to be built.

import { join } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t from 'tap';
import { root, runProcess } from '../helpers/process.js';

t.test('clean work raises no alarm', async (t) => {
  const env = heapProfileEnv({ autoStart: false }, {});
  const { code, stdout, stderr } = await runProcess(
    t,
    [process.execPath, join(root, 'bench/leaks/clean.mjs'), '--times', '1'],
    { env },
  );
  t.equal(code, 0, stderr);
  const results = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; leaks: unknown; reason: string });
  t.ok(results.length >= 20, `${results.length} workloads`);
  for (const { name, leaks, reason } of results) t.equal(leaks, false, `${name}: ${reason}`);
});
