// Starts the service of test/pack/consumer as the examples' Dockerfiles do, and writes the results into
// docs/compatibility.md. There are no containers here: a root folder stands for the image, with what the image has, made
// with debootstrap and dpkg; read-only, without rights, with a tmpfs of its user's for the profiles, as in kubernetes.yaml.
// As root.
//
//   node scripts/compatibility/containers.mjs [TARBALL]      by default the one that `npm run pack` makes first
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { markdown, writePart } from './document.mjs';
import { nodeFolder, place, project, run, say } from './systems.mjs';

const given = process.argv[2] === undefined ? undefined : resolve(process.argv[2]);
const USER = 65532;
const npm = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];

/** The service, and forkheap from the tarball, installed as the Dockerfiles do. */
function application() {
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-containers-'));
  chmodSync(folder, 0o755);
  const tarball =
    given ?? run(process.execPath, join(project, 'scripts/pack/pack.mjs'), `--destination=${folder}`).trim();
  cpSync(join(project, 'test/pack/consumer/service.js'), join(folder, 'server.js'));
  run('npm', ...npm, '--prefix', folder, tarball, 'leveldown@6.1.0');
  return folder;
}

/** A folder below build/compatibility, made by `make` the first time. */
function kept(name, make) {
  const root = join(place, name);
  if (!existsSync(root)) {
    say(`making ${root}`);
    rmSync(`${root}.half`, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    make(`${root}.half`);
    renameSync(`${root}.half`, root);
  }
  return root;
}

/** What node:*-slim has: Debian's smallest, libstdc++ for Node, Node with npm. No gperftools, no libdw, no compiler. */
const slim = (suite) =>
  kept(`slim-${suite}`, (root) => {
    run('debootstrap', '--variant=minbase', '--include=libstdc++6,libatomic1', suite, root);
    cpSync(join(nodeFolder(22), 'bin/node'), join(root, 'usr/local/bin/node'));
    const modules = join(root, 'usr/local/lib/node_modules');
    cpSync(join(run('npm', 'root', '--global').trim(), 'npm'), join(modules, 'npm'), { recursive: true });
    run('ln', '-s', '../lib/node_modules/npm/bin/npx-cli.js', join(root, 'usr/local/bin/npx'));
  });

/** What distroless has: no shell, no programs but Node, and the libraries that it needs. */
const distroless = () =>
  kept('distroless', (root) => {
    const packages = ['base-files', 'netbase', 'tzdata', 'libc6', 'libgcc-s1', 'libstdc++6', 'libgomp1'];
    const archives = mkdtempSync(join(tmpdir(), 'forkheap-packages-'));
    try {
      run('bash', '-euc', 'cd "$0" && apt-get download -qq "$@"', archives, ...packages);
      run('bash', '-euc', 'for file in "$1"/*.deb; do dpkg -x "$file" "$0"; done', root, archives);
    } finally {
      rmSync(archives, { recursive: true });
    }
    // libc6's few programs are not in the image.
    for (const name of ['usr/bin', 'usr/sbin', 'sbin']) rmSync(join(root, name), { recursive: true, force: true });
    mkdirSync(join(root, 'nodejs/bin'), { recursive: true });
    cpSync(join(nodeFolder(22), 'bin/node'), join(root, 'nodejs/bin/node'));
  });

/** ENTRYPOINT and CMD of a Dockerfile's last stage, in exec form. */
function commandOf(dockerfile) {
  const text = readFileSync(join(project, 'examples/containers', dockerfile), 'utf8').replaceAll('\\\n', '');
  const last = (word) => JSON.parse([...text.matchAll(new RegExp(`^${word} (\\[.*\\])$`, 'gm'))].at(-1)[1]);
  return [...last('ENTRYPOINT'), ...last('CMD')];
}

/** Runs the service and then `top`; what is wrong, or "yes". */
function tryImage({ root, dockerfile, node, app }) {
  const script = `
    root=$(mktemp -d)
    mount --bind "$ROOT" "$root"
    mkdir -p "$root/app" "$root/profiles" "$root/proc" "$root/dev"
    mount --bind "$APP" "$root/app" && mount -o remount,ro,bind "$root/app"
    mount -t tmpfs -o uid=${USER},gid=${USER},mode=755 profiles "$root/profiles"
    mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev"
    mount -o remount,ro,bind "$root"
    run() { setpriv --no-new-privs unshare --root="$root" --wd=/app --setgid=${USER} --setuid=${USER} -- "$@"; }
    run "$@" >&2
    run ${node} node_modules/forkheap/lib/cli/main.js top --json /profiles`;
  const result = spawnSync(
    'unshare',
    ['--mount', 'bash', '-euo', 'pipefail', '-c', script, 'image', ...commandOf(dockerfile)],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
        HOME: '/app',
        DATA: '/profiles',
        ROUNDS: '5000',
        ROOT: root,
        APP: app,
      },
      cwd: '/',
      timeout: 120_000,
      killSignal: 'SIGKILL',
      maxBuffer: 1 << 28,
    },
  );
  if (result.status !== 0) {
    say(result.stderr);
    return `no: ended with ${result.signal ?? result.status}`;
  }
  const { processes, rows } = JSON.parse(result.stdout);
  const row = rows.find(({ name }) => name.startsWith('db_get_many'));
  if (row?.package !== 'leveldown') return `no: ${processes.length} processes, nothing of leveldown`;
  // Sampled: each of the two workers loses ROUNDS × 20 × 200 bytes.
  const share = row.cumulative.inuseSpace / (2 * 5000 * 20 * 200);
  if (share < 0.7 || share > 1.3) return `no: ${Math.round(share * 100)} % of what leveldown has lost`;
  return `yes, ${processes.length} processes`;
}

const app = application();
try {
  const images = [
    {
      image: 'node:22-bookworm-slim',
      dockerfile: 'Dockerfile.slim',
      root: slim('bookworm'),
      node: '/usr/local/bin/node',
    },
    {
      image: 'node:22-bullseye-slim (glibc 2.31)',
      dockerfile: 'Dockerfile.slim',
      root: slim('bullseye'),
      node: '/usr/local/bin/node',
    },
    {
      image: 'distroless/nodejs22-debian12',
      dockerfile: 'Dockerfile.distroless',
      root: distroless(),
      node: '/nodejs/bin/node',
    },
  ];
  const rows = images.map((image) => [image.image, basename(image.dockerfile), tryImage({ ...image, app })]);
  const table = markdown([['stands for', 'commands of', 'profiled'], ...rows]);
  process.stdout.write(table);
  writePart('containers', table);
  if (rows.some(([, , result]) => result.startsWith('no'))) process.exitCode = 1;
} finally {
  rmSync(app, { recursive: true, force: true });
}
