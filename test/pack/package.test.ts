import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import type { Report } from '../helpers/forkheap.js';
import { root, runProcess } from '../helpers/process.js';

const destination = t.testdir({});
const packed = await runProcess(t, [
  process.execPath,
  join(root, 'scripts/pack/pack.mjs'),
  '--here',
  `--destination=${destination}`,
]);
if (packed.code !== 0) throw new Error(packed.stderr);
const tarball = packed.stdout.trim();

/** What src/ is compiled to: each file twice, but for what only one of the two dialects has. */
function compiled(): string[] {
  const onlyEsm = /^(cli\/|root\.mts$|leaks\/rerun\/launch\.ts$)/;
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => /\.[mc]?ts$/.test(name) && !name.startsWith('report/page/'),
  );
  const targets = (name: string) => [name.replace(/ts$/, 'js'), name.replace(/\.([mc]?)ts$/, '.d.$1ts')];
  return [
    ...files.filter((name) => name !== 'root.cts').flatMap(targets),
    ...files
      .filter((name) => !onlyEsm.test(name) && name !== 'register.cts')
      .flatMap(targets)
      .map((name) => `cjs/${name}`),
    'cjs/package.json',
    'report/assets/flamegraph.css',
    'report/assets/flamegraph.js',
  ].map((name) => `lib/${name}`);
}

const prebuilt = [
  ...[
    'forkheap-symbolizer',
    'forkheap.node',
    'forkheap_preload.so',
    'forkheap_unwind.so',
    'libtcmalloc_and_profiler.so.4',
  ],
  ...['libbz2.so.1.0', 'libdw.so.1', 'libelf.so.1', 'liblzma.so.5', 'libz.so.1'].map((name) => `lib/${name}`),
].map((name) => `prebuilds/linux-x64/${name}`);

const licenses = [
  ...[
    'GPL-2',
    'GPL-3',
    'LGPL-3',
    'README',
    'libbz2-1.0',
    'libdw1',
    'libelf1',
    'libgoogle-perftools4',
    'liblzma5',
    'zlib1g',
  ],
  ...[
    'array',
    'color',
    'dispatch',
    'ease',
    'flame-graph',
    'format',
    'hierarchy',
    'interpolate',
    'scale',
    'selection',
  ].map((name) => `npm-d3-${name}`),
  ...['time', 'time-format', 'timer', 'transition'].map((name) => `npm-d3-${name}`),
  'npm-internmap',
].map((name) => `licenses/${name}.txt`);

t.test('the tarball holds what is needed, and nothing else', async (t) => {
  const expected = [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', 'register/package.json', 'sbom.cdx.json'],
    ...compiled(),
    ...prebuilt,
    ...licenses,
    ...readdirSync(join(root, 'suppressions')).map((name) => `suppressions/${name}`),
  ].sort();
  const list = await runProcess(t, ['tar', '--list', '--file', tarball]);
  t.same(
    list.stdout
      .trim()
      .split('\n')
      .map((name) => name.replace(/^package\//, ''))
      .sort(),
    expected,
  );
  t.ok(statSync(tarball).size < 5e6, 'under 5 MB');
  const dry = await runProcess(t, ['npm', 'pack', '--dry-run', '--json', tarball]);
  const [{ files }] = JSON.parse(dry.stdout) as [{ files: { path: string }[] }];
  t.same(files.map(({ path }) => path).sort(), expected, 'npm pack --dry-run');
});

t.test('no install scripts; licences and an SBOM of what is bundled', async (t) => {
  const read = async (name: string) =>
    (await runProcess(t, ['tar', '--extract', '--to-stdout', '--file', tarball, `package/${name}`])).stdout;
  const manifest = JSON.parse(await read('package.json')) as Record<string, unknown>;
  t.notOk(manifest.scripts);
  t.notOk(manifest.devDependencies);
  t.notOk(manifest.gypfile);
  const { components } = JSON.parse(await read('sbom.cdx.json')) as { components: { name: string }[] };
  const names = components.map(({ name }) => name);
  for (const name of Object.keys(manifest.dependencies as object)) t.ok(names.includes(name), name);
  // Debian 13 calls some of them libdw1t64, and so on.
  for (const name of ['libgoogle-perftools4', 'libdw1', 'libelf1', 'zlib1g', 'liblzma5', 'libbz2-1.0']) {
    t.ok(names.includes(name) || names.includes(`${name}t64`), name);
  }
  t.notOk(names.includes('typescript'));
  t.match(await read('licenses/libgoogle-perftools4.txt'), /Google/);
  t.match(await read('licenses/LGPL-3.txt'), /LESSER/);
});

const bare = join(root, 'test/pack/bare-machine.sh');

/** A folder outside of the project, which the bare machine does not have. */
function outside(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

const skip =
  spawnSync('bash', [bare, outside(t), 'true']).status === 125 && 'this system lets nobody make mount namespaces';

t.test('on a machine without a compiler, without gperftools, without rights', { skip }, async (t) => {
  const folder = outside(t);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  copyFileSync(tarball, join(folder, basename(tarball)));
  copyFileSync(join(root, 'test/pack/consumer/service.js'), join(folder, 'service.js'));
  const there = (...command: string[]) => runProcess(t, ['bash', bare, folder, ...command]);

  const machine = await there('bash', '-c', 'id -u; command -v cc g++ make python3; ls /usr/lib/*/libtcmalloc*');
  t.match(machine.stdout, /^[1-9]\d*\n$/, 'no compiler, not root');

  const npm = ['npm', 'install', '--ignore-scripts', '--prefer-offline', `./${basename(tarball)}`, 'leveldown@6.1.0'];
  // The best of three: what else this machine does is not the package's doing.
  let seconds = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 3 && seconds >= 10; turn++) {
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true });
    const start = performance.now();
    const installed = await there(...npm);
    seconds = (performance.now() - start) / 1000;
    t.equal(installed.code, 0, installed.stderr);
  }
  t.ok(seconds < 10, `installed in ${seconds.toFixed(1)} s`);

  const doctor = await there('npx', 'forkheap', 'doctor');
  t.equal(doctor.code, 0, doctor.stdout);
  t.match(doctor.stdout, /gperftools: .*node_modules\/forkheap\/prebuilds\/linux-x64\/libtcmalloc_and_profiler/);

  const run = await there('npx', 'forkheap', 'run', '--prefix', 'out', '--', 'node', 'service.js');
  t.equal(run.code, 0, run.stderr);
  const top = await there('npx', 'forkheap', 'top', '--json', 'out');
  t.equal(top.code, 0, top.stderr);
  const report = JSON.parse(top.stdout) as Report;
  t.equal(report.processes.length, 3);
  const row = report.rows.find(({ name }) => name.startsWith('db_get_many'));
  t.equal(row?.package, 'leveldown');
  t.equal(row?.cumulative.inuseObjects, 2 * 50 * 20);
  t.equal(row?.cumulative.inuseSpace, 2 * 50 * 20 * 200);
  const text = await there('npx', 'forkheap', 'top', 'out');
  t.match(text.stdout, /db_get_many/);
});

t.test('publint and arethetypeswrong find nothing', async (t) => {
  const publint = await runProcess(t, [join(root, 'node_modules/.bin/publint'), 'run', '--strict', tarball]);
  t.equal(publint.code, 0, publint.stdout);
  const attw = await runProcess(t, [join(root, 'node_modules/.bin/attw'), '--no-color', tarball]);
  t.equal(attw.code, 0, attw.stdout);
  t.match(attw.stdout, /No problems found/);
});

t.test('in a folder with a name of its own', async (t) => {
  const folder = join(outside(t), 'Größe: 100 % "nötig"');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  const options = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--update-notifier=false'];
  const installed = await runProcess(t, ['npm', 'install', ...options, tarball], { cwd: folder });
  t.equal(installed.code, 0, installed.stderr);

  await t.test('CommonJS, ES modules, --import and tsx are profiled', async (t) => {
    const main = join(folder, 'node_modules/forkheap/lib/cli/main.js');
    writeFileSync(join(folder, 'hook.mjs'), '');
    writeFileSync(join(folder, 'a.cjs'), "console.log(require('forkheap').isHeapProfilerRunning())");
    writeFileSync(
      join(folder, 'a.mjs'),
      "import { getHeapProfile } from 'forkheap'; console.log(getHeapProfile() !== '')",
    );
    writeFileSync(
      join(folder, 'a.mts'),
      "import { isHeapProfilerRunning } from 'forkheap';\nconst yes: boolean = isHeapProfilerRunning();\nconsole.log(yes);\n",
    );
    const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
    for (const [i, command] of [['a.cjs'], ['a.mjs'], ['--import=./hook.mjs', 'a.mjs'], [tsx, 'a.mts']].entries()) {
      const args = [main, 'run', '-q', '--prefix', join(folder, `p${i}`), '--', process.execPath, ...command];
      const { code, stdout, stderr } = await runProcess(t, [process.execPath, ...args], { cwd: folder });
      t.match({ code, stdout, stderr }, { code: 0, stdout: 'true\n', stderr: '' }, command.join(' '));
      const top = await runProcess(t, [process.execPath, main, 'top', join(folder, `p${i}`)]);
      t.equal(top.code, 0, top.stderr);
    }
  });

  await t.test('npm start', async (t) => {
    const manifest = { private: true, scripts: { start: `"${process.execPath}" a.cjs` } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    const main = join(folder, 'node_modules/forkheap/lib/cli/main.js');
    const args = [main, 'run', '-q', '--prefix', join(folder, 'start'), '--', 'npm', 'start', '--silent'];
    const { code, stdout, stderr } = await runProcess(t, [process.execPath, ...args], { cwd: folder });
    t.match({ code, stdout, stderr }, { code: 0, stdout: 'true\n', stderr: '' });
    const ls = await runProcess(t, [process.execPath, main, 'ls', '--json', join(folder, 'start')]);
    t.equal((JSON.parse(ls.stdout) as { processes: unknown[] }).processes.length, 2);
  });

  await t.test('types, for each way of resolving', async (t) => {
    const source = join(folder, 'types.ts');
    writeFileSync(
      source,
      `import { type HeapProfile, startHeapProfile } from 'forkheap';
export const profile: HeapProfile = startHeapProfile({ prefix: '/tmp/a', mode: 'sampled' });
export const path: string = profile.stop();
`,
    );
    for (const [resolution, module] of [
      ['node16', 'node16'],
      ['nodenext', 'nodenext'],
      ['bundler', 'esnext'],
    ] as const) {
      const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,esnext.disposable'];
      const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
      const how = ['--moduleResolution', resolution, '--module', module];
      const tsc = [join(root, 'node_modules/.bin/tsc'), ...options, ...types, ...how, '--ignoreConfig', source];
      const { code, stdout } = await runProcess(t, tsc, { cwd: folder });
      t.equal(code, 0, stdout);
    }
  });

  await t.test('a bundle of esbuild that keeps the package external', async (t) => {
    const bundle = join(folder, 'bundle.cjs');
    const options = ['--bundle', '--platform=node', '--external:forkheap', `--outfile=${bundle}`, '--log-level=error'];
    const built = await runProcess(t, [join(root, 'node_modules/.bin/esbuild'), join(folder, 'a.mts'), ...options]);
    t.equal(built.code, 0, built.stderr);
    t.match(await runProcess(t, [process.execPath, bundle]), { code: 0, stdout: 'false\n' });
  });
});
