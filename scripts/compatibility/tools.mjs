// Tries the packed package with package managers, a bundler and pm2 (tools/package.json has their versions), and writes the
// results into docs/compatibility.md. Every try must find each block that leveldown 6.1.0 loses.
//
//   node scripts/compatibility/tools.mjs [TARBALL]      by default the one that `npm run pack` makes first
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { markdown, writePart } from './document.mjs';
import { project, run, say } from './systems.mjs';

const here = join(project, 'scripts/compatibility');
const modules = join(here, 'tools/node_modules');
if (!existsSync(modules))
  run('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', join(here, 'tools'));

const scratch = mkdtempSync(join(tmpdir(), 'forkheap-tools-'));
const tarball = join(scratch, 'forkheap.tgz');
const packed =
  process.argv[2] ?? run(process.execPath, join(project, 'scripts/pack/pack.mjs'), `--destination=${scratch}`).trim();
copyFileSync(packed, tarball);

/** The script of a tool's command. */
function command(name, bin = name) {
  const folder = join(modules, name);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin]);
}

const version = (name) => JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')).version;

/** A folder with a project of its own, and `run` for Node programs in it. */
function consumer(name) {
  const folder = join(scratch, name);
  mkdirSync(folder);
  const scripts = { profile: 'forkheap run -q --prefix p -- node service.js', report: 'forkheap top --json p' };
  const manifest = { name: 'consumer', version: '1.0.0', private: true, scripts };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  copyFileSync(join(project, 'test/pack/consumer/service.js'), join(folder, 'service.js'));
  copyFileSync(join(here, 'worker.cjs'), join(folder, 'worker.cjs'));
  const env = { ...process.env, DATA: folder, HOME: folder, PM2_HOME: join(folder, 'pm2'), CI: '1' };
  // The programs that npm and its like set for what they run are not for these.
  for (const key of Object.keys(env)) if (/^npm_/i.test(key) && key !== 'npm_config_registry') delete env[key];
  const node = (args, more = {}, good = [0]) => {
    const options = { cwd: folder, env: { ...env, ...more }, encoding: 'utf8', timeout: 180_000, maxBuffer: 1 << 28 };
    const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, args, options);
    if (!good.includes(status)) {
      const why = error?.message ?? `${stdout}${stderr}`.trim().split('\n').slice(-3).join(' ');
      throw new Error(`${args.join(' ')} ended with ${signal ?? status}: ${why}`);
    }
    return stdout;
  };
  return { folder, node };
}

/** The profiles below a prefix have exactly what `workers` workers have lost. */
function exact(report, workers) {
  const row = JSON.parse(report).rows.find(({ name }) => name.startsWith('db_get_many'));
  const objects = row?.cumulative.inuseObjects;
  if (objects !== workers * 50 * 20) throw new Error(`${objects} blocks instead of ${workers * 50 * 20}`);
}

/** Installs with a package manager, and profiles through scripts of package.json. */
function manager(name, bin, add, prepare = () => {}) {
  const { folder, node } = consumer(name);
  prepare(folder);
  node([bin, ...add]);
  node([bin, 'run', 'profile']);
  const report = node([bin, 'run', 'report']);
  exact(report.slice(report.indexOf('\n{') + 1, report.lastIndexOf('}') + 1), 2);
}

const packages = [tarball, 'leveldown@6.1.0'];
const yarn4 = command('@yarnpkg/cli-dist', 'yarn');
const berry = (linker) => (folder) => {
  writeFileSync(join(folder, 'yarn.lock'), '');
  const registry = run('npm', 'config', 'get', 'registry').trim();
  const settings = [
    `nodeLinker: ${linker}`,
    'enableScripts: false',
    'enableGlobalCache: false',
    'enableTelemetry: false',
    `npmRegistryServer: ${registry}`,
  ];
  writeFileSync(join(folder, '.yarnrc.yml'), `${settings.join('\n')}\n`);
};

/** npm's layout, once for the tries that are not about layouts. */
let installed;
function withNpm(name) {
  const made = consumer(name);
  if (installed === undefined) {
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
    execFileSync('npm', ['install', ...options, ...packages], {
      cwd: made.folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    installed = join(made.folder, 'node_modules');
  } else {
    execFileSync('ln', ['-s', installed, join(made.folder, 'node_modules')]);
  }
  const main = join(installed, 'forkheap/lib/cli/main.js');
  return { ...made, prefix: join(made.folder, 'p'), forkheap: (...args) => made.node([main, ...args]), main };
}

const pm2 = command('pm2');
const cluster = ['start', 'worker.cjs', '-i', '2', '--no-autorestart'];

const tries = {
  [`pnpm ${version('pnpm')}`]: () => {
    manager('pnpm', command('pnpm'), ['add', '--ignore-scripts', ...packages]);
  },
  [`yarn ${version('yarn')}`]: () => {
    manager('yarn', command('yarn'), ['add', '--ignore-scripts', `file:${tarball}`, packages[1]]);
  },
  [`yarn ${version('@yarnpkg/cli-dist')}, node_modules`]: () => {
    manager('yarn-modules', yarn4, ['add', `forkheap@file:${tarball}`, packages[1]], berry('node-modules'));
  },
  [`yarn ${version('@yarnpkg/cli-dist')}, Plug'n'Play`]: () => {
    manager('yarn-pnp', yarn4, ['add', `forkheap@file:${tarball}`, packages[1]], berry('pnp'));
  },
  [`webpack ${version('webpack')}, forkheap external`]: () => {
    const { folder, node } = withNpm('webpack');
    writeFileSync(join(folder, 'entry.js'), "console.log(require('forkheap').isHeapProfilerRunning());");
    const options = {
      mode: 'production',
      target: 'node',
      entry: join(folder, 'entry.js'),
      externals: { forkheap: 'commonjs forkheap' },
      output: { path: folder, filename: 'bundle.cjs' },
    };
    const script = `require(${JSON.stringify(join(modules, 'webpack'))})(${JSON.stringify(options)}, (error, stats) => {
      if (error ?? stats.hasErrors()) { console.error(error ?? stats.toString()); process.exit(1); }
    })`;
    node(['-e', script]);
    if (node(['bundle.cjs']) !== 'false\n') throw new Error('the bundle does not find the package');
  },
  [`pm2 ${version('pm2')}: forkheap run -- pm2-runtime, cluster mode`]: () => {
    const { prefix, node, main } = withNpm('pm2-runtime');
    const program = [process.execPath, command('pm2', 'pm2-runtime'), ...cluster];
    // pm2-runtime ends with 0 or 2 when no worker is left.
    node([main, 'run', '-q', '--prefix', prefix, '--', ...program], { END: '1' }, [0, 2]);
    exact(node([main, 'top', '--json', prefix]), 2);
  },
  [`pm2 ${version('pm2')}: forkheap run -- pm2 start, cluster mode`]: () => {
    const { forkheap, prefix, node } = withNpm('pm2-daemon');
    try {
      forkheap('run', '-q', '--prefix', prefix, '--', process.execPath, pm2, ...cluster, '--wait-ready');
      forkheap('dump', prefix);
      exact(forkheap('top', '--json', prefix), 2);
    } finally {
      node([pm2, 'kill']);
    }
  },
  [`pm2 ${version('pm2')}: the daemon started without forkheap; doctor says so`]: () => {
    const { forkheap, node } = withNpm('pm2-bare');
    try {
      node([pm2, 'ping']);
      const { findings } = JSON.parse(forkheap('doctor', '--json'));
      if (!findings.some(({ name, level }) => name === 'pm2' && level === 'warn')) throw new Error('it does not');
    } finally {
      node([pm2, 'kill']);
    }
  },
};

const rows = [];
try {
  for (const [name, attempt] of Object.entries(tries)) {
    try {
      attempt();
      rows.push([name, 'yes']);
    } catch (error) {
      rows.push([name, `no: ${error.message.replaceAll('\n', ' ')}`]);
    }
    say(rows.at(-1).join(': '));
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
writePart('tools', markdown([['with', 'works'], ...rows]));
if (rows.some(([, result]) => result !== 'yes')) process.exitCode = 1;
