// How long reports of many processes take, and how much memory.
//
//   node bench/report/run.mjs [--processes 64] [--stacks 10000] [--keep]
//
// Makes dumps with made-up stacks of real addresses in this node's executable, so that they are symbolized for real.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    processes: { type: 'string', default: '64' },
    stacks: { type: 'string', default: '10000' },
    keep: { type: 'boolean', default: false },
  },
});
const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const DEPTH = 24;
const ADDRESSES = 8000;

let state = 1;
function random(below) {
  state = (state * 48271) % 2147483647;
  return Math.floor((state / 2147483647) * below);
}

/** Offsets of functions in the executable, as nm has them. */
function functionOffsets() {
  const text = execFileSync(
    'sh',
    ['-c', `nm -C --defined-only "${process.execPath}" || nm -D -C --defined-only "${process.execPath}"`],
    {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const offsets = [];
  for (const line of text.split('\n')) {
    const match = /^([0-9a-f]{16}) [tTwW] /.exec(line);
    if (match !== null) offsets.push(Number.parseInt(match[1], 16));
  }
  return offsets;
}

/** Where the most of the executable's code lies in this process. */
function codeMapping() {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const mappings = lines
    .filter((line) => line.includes(' r-xp ') && line.endsWith(process.execPath))
    .map((line) => {
      const [start, limit] = line.split(/[- ]/, 2).map((text) => Number.parseInt(text, 16));
      return { line, start, limit };
    });
  return mappings.sort((a, b) => b.limit - b.start - (a.limit - a.start))[0];
}

function writeDumps(folder, processes, stacks) {
  const mapping = codeMapping();
  const inside = functionOffsets()
    .map((address) => address + 8)
    .filter((address) => address > mapping.start && address < mapping.limit);
  const pool = Array.from({ length: ADDRESSES }, () => inside[random(inside.length)]);
  const maps = `MAPPED_LIBRARIES:\n${mapping.line}\n7ffc00000000-7ffc00010000 rw-p 00000000 00:00 0 [stack]\n`;
  // Processes of one service have most of their stacks in common.
  const common = Array.from({ length: stacks }, () =>
    Array.from(
      { length: 4 + random(DEPTH) },
      (_, level) => pool[Math.floor((random(ADDRESSES) * (level + 1)) / DEPTH) % ADDRESSES],
    ),
  );
  for (let pid = 1; pid <= processes; pid++) {
    const sum = [0, 0, 0, 0];
    const lines = common.map((shared) => {
      const stack =
        random(4) === 0 ? shared.map((address, i) => (i === 2 ? pool[random(ADDRESSES)] : address)) : shared;
      const [inuse, bytes] = [1 + random(20), 16 * (1 + random(4000))];
      const row = [inuse, inuse * bytes, 2 * inuse, 2 * inuse * bytes];
      for (const [i, value] of row.entries()) sum[i] += value;
      const frames = stack.map((address) => `0x${address.toString(16).padStart(8, '0')}`).join(' ');
      return `  ${row[0]}: ${row[1]} [  ${row[2]}: ${row[3]}] @ ${frames}\n`;
    });
    const header = `heap profile: ${sum[0]}: ${sum[1]} [${sum[2]}: ${sum[3]}] @ heapprofile\n`;
    writeFileSync(join(folder, `app_${pid}.0001.heap`), `${header}${lines.join('')}\n${maps}`);
  }
}

/** Runs `forkheap ARGS`: seconds (also of CPU: this machine may be busy), and the most memory that it had. */
function measure(folder, ...args) {
  const [memory, output] = [join(folder, 'memory'), join(folder, 'output')];
  const hook = `import { writeFileSync } from 'node:fs'; process.on('exit', () => { const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage(); writeFileSync(${JSON.stringify(memory)}, [maxRSS, userCPUTime + systemCPUTime].join(' ')); });`;
  const stdout = openSync(output, 'w');
  const started = performance.now();
  const { status } = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, main, ...args],
    {
      stdio: ['ignore', stdout, 'inherit'],
    },
  );
  const seconds = (performance.now() - started) / 1000;
  closeSync(stdout);
  if (status !== 0) throw new Error(`forkheap ${args.join(' ')} ended with ${status}`);
  const [kilobytes, cpu] = readFileSync(memory, 'utf8').split(' ').map(Number);
  return { seconds, cpu: cpu / 1e6, megabytes: kilobytes / 1024 };
}

const folder = mkdtempSync(join(tmpdir(), 'forkheap-bench-'));
try {
  writeDumps(folder, Number(values.processes), Number(values.stacks));
  console.log(`${values.processes} processes, ${values.stacks} stacks each, ${process.version}`);
  const at = (name) => join(folder, name);
  const cases = [
    ['top --json', ['top', '--json', folder]],
    ['top --json --by package', ['top', '--json', '--by', 'package', folder]],
    ['merge', ['merge', '-o', at('merged.pb.gz'), folder], 'merged.pb.gz'],
    ['top --json of the merged file', ['top', '--json', at('merged.pb.gz')]],
    ['flamegraph', ['flamegraph', '-o', at('report.html'), folder], 'report.html'],
    ['flamegraph --internals', ['flamegraph', '--internals', '-o', at('all.html'), folder], 'all.html'],
    ['export --to speedscope', ['export', '--to', 'speedscope', '-o', at('x.json'), folder], 'x.json'],
  ];
  for (const [name, args, file] of cases) {
    const { seconds, cpu, megabytes } = measure(folder, ...args);
    const size = file === undefined ? '' : `, file of ${(statSync(at(file)).size / 1e6).toFixed(1)} MB`;
    console.log(`${name}: ${seconds.toFixed(2)} s (${cpu.toFixed(2)} s of CPU), ${megabytes.toFixed(0)} MB${size}`);
  }
} finally {
  if (values.keep) console.log(folder);
  else rmSync(folder, { recursive: true });
}
