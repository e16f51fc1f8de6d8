// The leak checker over clean work, which must raise no alarm, and what both leak checks cost the example service.
//
//   npm run bench:checker -- [--times 5] [--only NAME,…] [--no-cost]      --times 0: only the cost
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sendLoad } from '../../examples/level-service/load.js';
import { heapProfileEnv } from '../../lib/index.js';
import { workloads } from '../../test/leaks/workloads/index.mjs';
import { circumstances, median, plainEnv, run, table, tempFolder } from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    times: { type: 'string', default: '5' },
    only: { type: 'string' },
    'no-cost': { type: 'boolean', default: false },
  },
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = tempFolder('bench-checker');
const times = Number(options.times);
const names = times === 0 ? [] : (options.only?.split(',') ?? Object.keys(workloads));
console.log(`Measured ${circumstances()}.\n`);

let alarms = 0;
const rows = [];
for (const [i, name] of names.entries()) {
  const verdicts = {};
  for (let time = 0; time < times; time++) {
    const prefix = join(folder, `${i}-${time}`);
    const command = [process.execPath, here('workload.mjs'), name];
    const check = [
      process.execPath,
      here('../../lib/cli/main.js'),
      'check',
      '--json',
      '--prefix',
      prefix,
      '--',
      ...command,
    ];
    const { status, stdout, stderr } = await run(check);
    const verdict = status === 2 ? `unknown: ${stderr.trim().split('\n').at(-1)}` : JSON.parse(stdout).verdict;
    verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    if (verdict !== 'clean') alarms++;
  }
  const text = Object.entries(verdicts).map(([verdict, count]) => `${count} × ${verdict}`);
  rows.push([name, text.join(', ')]);
  process.stderr.write(`${name}: ${text}\n`);
}
if (names.length > 0) console.log(table(['clean work', `of ${options.times} runs`], rows));

/** Milliseconds for the example service's load, from its first request to its last answer. */
async function serve(env) {
  const server = here('../../examples/level-service/server.js');
  const service = spawn(process.execPath, [server, '--leveldown=leveldown-fixed'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(service, 'exit');
  const port = await new Promise((resolve) => {
    createInterface({ input: service.stdout }).on('line', (line) => {
      const match = /^listening on (\d+)$/.exec(line);
      if (match) resolve(Number(match[1]));
    });
  });
  const start = performance.now();
  await sendLoad({ port, requests: 100, calls: 100 });
  const time = performance.now() - start;
  service.kill('SIGTERM');
  await ended;
  return time;
}

if (!options['no-cost']) {
  const base = plainEnv();
  const cases = {
    'no check': () => base,
    'forkheap check --mode local': (n) =>
      heapProfileEnv({ prefix: join(folder, `local-${n}`), leakCheck: 'local' }, base),
    'forkheap check': (n) => heapProfileEnv({ prefix: join(folder, `normal-${n}`), leakCheck: 'normal' }, base),
    // What a process pays that waits for checkNativeLeaks(), and what it pays while a check runs.
    'growth check, ready': () => heapProfileEnv({ autoStart: false }, base),
    'growth check, running': (n) => heapProfileEnv({ prefix: join(folder, `growth-${n}`), mode: 'exact' }, base),
  };
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let n = 0; n < 5; n++) {
    for (const [name, env] of Object.entries(cases)) times[name].push(await serve(env(n)));
  }
  const plain = times['no check'];
  const cells = Object.entries(times).map(([name, list]) => [
    name,
    median(list).toFixed(0),
    median(list.map((time, n) => time / plain[n])).toFixed(2),
  ]);
  console.log(table(['10,000 getMany() calls in 100 requests', 'ms', '× no check'], cells));
}
process.exitCode = alarms === 0 ? 0 : 1;
