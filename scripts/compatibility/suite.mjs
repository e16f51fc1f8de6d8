// Runs the whole test suite on other Nodes and below other Debians, with their gperftools, one after the other, and writes the
// results into docs/compatibility.md. As root; some ten minutes each, and more the first time.
//
//   node scripts/compatibility/suite.mjs [--node 22,24,26] [--suites trixie,sid] [-- FILE.test.ts...]
//
// The Nodes run what is built here: one binary for all. The Debians have a copy of the project, which they build with their
// own compiler. Logs are in build/compatibility/*.log. Nothing is written into the document when files are named.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { markdown, readPart, writePart } from './document.mjs';
import { gperftoolsOf, nodeFolder, place, project, run, say, system } from './systems.mjs';

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', default: '22,24,26' },
    suites: { type: 'string', default: 'trixie,sid' },
  },
});
const list = (text) => text.split(',').filter((word) => word !== '');
const tests = files.length > 0 ? files : ['--tests'];

/** Runs a command with its output in a log; "N passed, M failed" as [N, M]. */
function counted(name, command, args, env) {
  const log = join(place, `${name}.log`);
  say(`${name}: see ${log}`);
  const output = openSync(log, 'w');
  const { status } = spawnSync(command, args, { cwd: project, env, stdio: ['ignore', output, output] });
  const counts = /^(\d+) passed, (\d+) failed$/m.exec(readFileSync(log, 'utf8').split('\n').slice(-5).join('\n'));
  const result = counts === null ? [0, 1] : [Number(counts[1]), Number(counts[2])];
  say(`${name}: ${result[0]} passed, ${result[1]} failed, status ${status}`);
  return result;
}

/** On another Node, with the native parts that this Node's headers have built. */
function onNode(major) {
  const release = nodeFolder(major);
  const nodedir = run('bash', '-c', 'source scripts/common.sh && node_dir').trim();
  const PATH = `${join(release, 'bin')}:${process.env.PATH}`;
  const result = counted(`node-${major}`, 'bash', ['scripts/test.sh', ...tests], {
    ...process.env,
    PATH,
    npm_config_nodedir: nodedir,
  });
  const version = run(join(release, 'bin/node'), '--version').trim().slice(1);
  return [version, gperftoolsOf('/'), 'the one here', ...result];
}

const there = '/srv/forkheap';
const authorities = '/etc/ssl/certs/ca-certificates.crt';

/** Node, npm and a copy of the project below `root`. What was built there before stays. */
function furnish(root) {
  const release = dirname(dirname(process.execPath));
  cpSync(process.execPath, join(root, 'usr/local/bin/node'));
  const include = [release, nodeFolder(process.versions.node)].find((folder) =>
    existsSync(join(folder, 'include/node/node_api.h')),
  );
  cpSync(join(include, 'include/node'), join(root, 'usr/local/include/node'), { recursive: true });
  const npm = join(run('npm', 'root', '--global').trim(), 'npm');
  const target = join(root, 'usr/local/lib/node_modules/npm');
  rmSync(target, { recursive: true, force: true });
  cpSync(npm, target, { recursive: true });
  for (const name of ['npm', 'npx']) {
    run('ln', '-sfn', `../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name));
  }
  const copy = join(root, there);
  mkdirSync(copy, { recursive: true });
  // What git knows and does not ignore, and what npm has installed; gone files go.
  const script = `
    find "$2" \\( -name node_modules -o -name build -o -path "$2/lib" \\) -prune -o -type f -print0 | xargs -0 --no-run-if-empty rm
    cd "$1" && git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$2"
    for folder in . examples/level-service bench; do
      if [[ -d $1/$folder/node_modules ]]; then mkdir -p "$2/$folder" && cp -a --update "$1/$folder/node_modules" "$2/$folder/"; fi
    done`;
  run('bash', '-euo', 'pipefail', '-c', script, 'furnish', project, copy);
  // What this system trusts: a registry may stand behind a proxy.
  if (existsSync(authorities)) cpSync(authorities, join(root, 'etc/forkheap-authorities.crt'));
  // A mirror's snapshot may be older than it says it may be.
  writeFileSync(join(root, 'etc/apt/apt.conf.d/90forkheap'), 'Acquire::Check-Valid-Until "false";\n');
}

/** Below another Debian. Mounts and processes are in namespaces of their own, and gone at the end. */
function below(suite) {
  const root = system(suite);
  furnish(root);
  const script = `
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount -t tmpfs dev "$1/dev"
    for name in null zero full random urandom tty; do touch "$1/dev/$name" && mount --bind "/dev/$name" "$1/dev/$name"; done
    mkdir "$1/dev/pts" "$1/dev/shm" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts" && mount -t tmpfs shm "$1/dev/shm"
    ln -s pts/ptmx "$1/dev/ptmx" && ln -s /proc/self/fd "$1/dev/fd"
    exec chroot "$1" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 \\
      npm_config_registry="$2" NODE_EXTRA_CA_CERTS=/etc/forkheap-authorities.crt bash -c 'cd "$0" && exec bash scripts/test.sh "$@"' "\${@:3}"`;
  const registry = run('npm', 'config', 'get', 'registry').trim();
  const isolate = ['--mount', '--pid', '--fork', '--kill-child'];
  const args = [...isolate, 'bash', '-euo', 'pipefail', '-c', script, 'below', root, registry, there, ...tests];
  const result = counted(suite, 'unshare', args, process.env);
  return [process.versions.node, gperftoolsOf(root), `Debian ${suite}`, ...result];
}

const rows = [...list(options.node).map(onNode), ...list(options.suites).map(below)];
const head = ['Node.js', 'gperftools', 'system', 'passed', 'failed'];
process.stdout.write(markdown([head, ...rows]));
if (files.length === 0) {
  // Rows of other Nodes and Debians stay as they are.
  const same = (a, b) => a[0].split('.')[0] === b[0].split('.')[0] && a[2] === b[2];
  const others = readPart('suite').filter((row) => !rows.some((other) => same(row, other)));
  writePart(
    'suite',
    markdown([head, ...[...others, ...rows].sort((a, b) => a[1].localeCompare(b[1], 'en', { numeric: true }))]),
  );
}
if (rows.some(([, , , , failed]) => failed > 0)) process.exitCode = 1;
