// Tries forkheap on each Node × each gperftools, and writes the table of docs/compatibility.md. As root; takes some minutes
// the first time, for each version of gperftools comes with the Debian that has it, which debootstrap unpacks below
// build/compatibility. "debian" is the Node of that Debian.
//
//   node scripts/compatibility/table.mjs [--node 20,22,24,26,debian] [--suites bookworm,trixie,sid] [TARBALL]
//
// Without a tarball, `npm run pack` makes one first. Rows of what is not tried stay as they are.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { markdown, readPart, writePart } from './document.mjs';
import { gperftoolsOf, nodeFolder, place, project, run, say, system } from './systems.mjs';

const {
  values: options,
  positionals: [given],
} = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: '20,22,24,26,debian' },
    suites: { type: 'string', default: 'bookworm,trixie,sid' },
  },
});
const library = '/usr/lib/x86_64-linux-gnu/libtcmalloc_and_profiler.so.4';

/** Installs the package that `npm run pack` makes. */
function installed() {
  const folder = join(place, 'installed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const pack = join(project, 'scripts/pack/pack.mjs');
  const tarball = given === undefined ? run(process.execPath, pack, `--destination=${folder}`).trim() : resolve(given);
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
  const programs = join(project, 'test/fixtures/programs');
  const args = [node, join(project, 'scripts/compatibility/probe.mjs'), pack, programs, folder];
  const env = { PATH: process.env.PATH, HOME: folder, FORKHEAP_TCMALLOC: library };
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

/** Debian's own Node, which is linked with a shared libnode; undefined where that is too old for forkheap. */
function debianNode(root) {
  const environment = ['/usr/bin/env', '-i', 'PATH=/usr/bin:/bin:/usr/sbin:/sbin', 'DEBIAN_FRONTEND=noninteractive'];
  const inside = (...command) => run('chroot', root, ...environment, ...command);
  if (!existsSync(join(root, 'usr/bin/nodejs'))) {
    inside('apt-get', '-o', 'Acquire::Check-Valid-Until=false', 'update', '-qq');
    inside('apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'nodejs');
  }
  const [major, minor] = inside('nodejs', '--version').slice(1).split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 17) ? '/usr/bin/nodejs' : undefined;
}

const pack = installed();
const columns = ['exact', 'fork(2)', 'children', 'sampled', 'JavaScript', 'growth check', 'leak checker'];
const head = ['gperftools', 'Node.js', 'glibc', ...columns];
/** Rows of the document; each is replaced as soon as there is a new one for its gperftools and its Node. */
const rows = new Map();
const keyOf = ([gperftools, node]) =>
  `${gperftools.split('.').slice(0, 2).join('.')} ${node.replace(/^(\d+)[\d.]*/, '$1')}`;
for (const row of readPart('table')) rows.set(keyOf(row), row);

for (const suite of options.suites.split(',')) {
  const root = system(suite);
  const gperftools = gperftoolsOf(root);
  for (const major of options.node.split(',')) {
    const executable = major === 'debian' ? debianNode(root) : join(nodeFolder(major), 'bin/node');
    if (executable === undefined) continue;
    const { node, glibc, results } = probe(root, executable, pack);
    say(`Node ${node}, gperftools ${gperftools}, glibc ${glibc}: ${JSON.stringify(results)}`);
    const name = major === 'debian' ? `${node} (Debian's)` : node;
    const row = [gperftools, name, glibc, ...columns.map((column) => results[column])];
    rows.set(keyOf(row), row);
    const byVersion = (a, b) => keyOf(a).localeCompare(keyOf(b), 'en', { numeric: true });
    writePart('table', markdown([head, ...[...rows.values()].sort(byVersion)]));
  }
}
