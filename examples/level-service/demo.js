// Profiles the service while it answers requests, then prints where its memory went.
//
//   node demo.js [--workers=fork|cluster] [--leveldown=leveldown|leveldown-fixed] [--mode=exact|sampled]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sendLoad } from './load.js';

const { values: options } = parseArgs({
  options: {
    workers: { type: 'string', default: 'fork' },
    leveldown: { type: 'string', default: 'leveldown' },
    mode: { type: 'string', default: 'exact' },
    prefix: { type: 'string' },
    requests: { type: 'string', default: '40' },
    calls: { type: 'string', default: '100' },
  },
});

const forkheap = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const server = fileURLToPath(new URL('server.js', import.meta.url));
const prefix = options.prefix ?? join(mkdtempSync(join(tmpdir(), 'forkheap-demo-')), 'level');

/** Runs forkheap; `shown` is the command as a person would type it. */
function runForkheap(args, stdout) {
  const shown = args.map((word) => (word === server ? relative(process.cwd(), server) : word));
  console.log(`\n$ npx forkheap ${shown.join(' ')}`);
  return spawn(process.execPath, [forkheap, ...args], { stdio: ['ignore', stdout, 'inherit'] });
}

const service = runForkheap(
  [
    ...['run', '--mode', options.mode, '--prefix', prefix, '--', 'node', server],
    ...[`--workers=${options.workers}`, `--leveldown=${options.leveldown}`],
  ],
  'pipe',
);
const ended = once(service, 'exit');
try {
  const port = await new Promise((resolve, reject) => {
    createInterface({ input: service.stdout }).on('line', (line) => {
      console.log(line);
      const match = /^listening on (\d+)$/.exec(line);
      if (match) resolve(Number(match[1]));
    });
    ended.then(([code, signal]) => reject(new Error(`the service ended before it listened (${signal ?? code})`)));
  });
  const workers = await sendLoad({ port, requests: Number(options.requests), calls: Number(options.calls) });
  for (const { pid, calls, bytes } of workers) {
    console.log(`worker ${pid} has answered ${calls} getMany() calls, with copies of ${bytes} bytes of keys`);
  }
} catch (error) {
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
}

service.kill('SIGTERM');
const [code, signal] = await ended;
if (code !== 0) {
  console.error(`demo: the service ended with ${signal ?? `status ${code}`}`);
  process.exitCode = 1;
}
if (!process.exitCode) {
  const [status] = await once(runForkheap(['top', '--per-process', '--limit', '3', prefix], 'inherit'), 'exit');
  if (status !== 0) process.exitCode = 1;
}
if (!process.exitCode) {
  console.log(`\nThe profiles are ${prefix}_<pid>.NNNN.heap. The whole table: npx forkheap top ${prefix}`);
}
