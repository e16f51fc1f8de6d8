// How long a thread that allocates waits while a dump is made.
//
//   npm run bench:pause -- [--stacks 10000] [--blocks 100] [--output FILE.md]
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildFolder, circumstances, compile, forkheap, report, run, table, tempFolder } from '../common.mjs';

const { values: options } = parseArgs({
  options: {
    stacks: { type: 'string', default: '10000' },
    blocks: { type: 'string', default: '100' },
    output: { type: 'string', default: join(buildFolder, 'pause.md') },
  },
});

const program = compile(fileURLToPath(new URL('pause.cc', import.meta.url)));
const folder = tempFolder('bench-pause');
const where = circumstances();
const flags = ['-q', '--dump-every', '0', '--include', 'pause', '--prefix', join(folder, 'p')];
const { stdout, stderr, status } = await run(forkheap('run', ...flags, '--', program, options.stacks, options.blocks));
rmSync(folder, { recursive: true });
if (status !== 0) throw new Error(`pause ended with ${status}: ${stderr}`);
const result = JSON.parse(stdout);
const live = Number(options.stacks) * Number(options.blocks);
const text = `${table(
  ['live blocks', 'stacks', 'longest allocation before, ms', 'during five dumps, ms', 'a dump, ms'],
  [[live, options.stacks, result.before, result.pause, result.dump]],
)}
Measured ${where}.
`;
report(text, options.output);
