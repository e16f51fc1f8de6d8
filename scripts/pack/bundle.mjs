// What the package brings along that is not ours: libraries of Debian's packages, and JavaScript that is bundled into the
// flame graph page. Copies their licences, and describes them for the SBOM.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

/**
 * The Debian packages, and their licences. `here`: from this system; the others from the one that the symbolizer is linked on.
 * Debian 13 and Ubuntu 24.04 have added "t64" to some of the names.
 */
const debianPackages = [
  { name: 'libgoogle-perftools4', license: 'BSD-3-Clause', here: true },
  { name: 'libdw1', license: 'LGPL-3.0-or-later OR GPL-2.0-or-later' },
  { name: 'libelf1', license: 'LGPL-3.0-or-later OR GPL-2.0-or-later' },
  { name: 'zlib1g', license: 'Zlib' },
  { name: 'liblzma5', license: '0BSD' },
  { name: 'libbz2-1.0', license: 'bzip2-1.0.6' },
];

/** npm packages whose code is part of lib/report/assets. Their dependencies are, too. */
const bundledByEsbuild = ['d3-flame-graph', 'd3-selection'];

const output = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).trim();

/**
 * gperftools' library, as this system's package has it. Which version that is matters: the tests run with this one.
 * Its libunwind is replaced by forkheap_unwind.so (see native/unwind).
 */
export function addTcmalloc(target) {
  const folder = '/usr/lib/x86_64-linux-gnu';
  const file = join(folder, 'libtcmalloc_and_profiler.so.4');
  if (!existsSync(file))
    throw new Error('libtcmalloc_and_profiler is not installed: apt-get install libgoogle-perftools4');
  const owner = output('dpkg-query', '--search', realpathSync(file)).split(':')[0];
  if (!/^libgoogle-perftools4(t64)?$/.test(owner)) throw new Error(`${file} is not the file of a Debian package`);
  const copy = join(target, basename(file));
  copyFileSync(realpathSync(file), copy);
  chmodSync(copy, 0o755);
  // One change a run: patchelf mixes up several.
  execFileSync('patchelf', ['--replace-needed', 'libunwind.so.8', 'forkheap_unwind.so', copy]);
  execFileSync('patchelf', ['--set-rpath', '$ORIGIN', copy]);
  chmodSync(copy, 0o644);
}

/** The name, version and architectures of an installed package. */
function debianPackage(name, root) {
  const admin = `--admindir=${join(root, 'var/lib/dpkg')}`;
  const format = `--showformat=${'$'}{Package} ${'$'}{Version} ${'$'}{Architecture} ${'$'}{db:Status-Status}\n`;
  const installed = output(
    'bash',
    '-c',
    'dpkg-query "$@" 2>/dev/null || true',
    '-',
    admin,
    '--show',
    format,
    name,
    `${name}t64`,
  )
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , status]) => status === 'installed');
  if (installed.length === 0) throw new Error(`${name} is not installed in ${root}`);
  const [[actual, version]] = installed;
  return { actual, version, architectures: installed.map(([, , architecture]) => architecture).sort() };
}

/** npm packages with all that they depend on, as package-lock.json has them. */
function npmPackages(project, roots) {
  const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'));
  const found = new Map();
  const add = (name) => {
    const entry = packages[`node_modules/${name}`];
    if (entry === undefined || found.has(name)) return;
    found.set(name, { name, version: entry.version, license: entry.license });
    for (const dependency of Object.keys(entry.dependencies ?? {})) add(dependency);
  };
  for (const name of roots) add(name);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

const notice = (
  components,
) => `forkheap itself is under the MIT licence (../LICENSE). This package also holds files of Debian's packages

${[...new Set(components.map(({ name, version }) => `  ${name} ${version}`))].join('\n')}

whose licences are in the files of these names here. Their sources: \`apt-get source <package>=<version>\`, or
Debian's snapshot archive. They are as Debian has them but for libtcmalloc_and_profiler.so.4, where the name of a
library that it needs (libunwind) and the place where to look for it are others. The npm packages named here are part of
the page that \`forkheap flamegraph\` writes.
`;

/** Copies the licences to `target`, and returns CycloneDX components. */
export function addLicenses(project, target, librariesRoot, arm64) {
  mkdirSync(target, { recursive: true });
  const components = [];
  for (const { name, license, here } of debianPackages) {
    const root = here ? '/' : librariesRoot;
    const { actual, version, architectures } = debianPackage(name, root);
    copyFileSync(join(root, 'usr/share/doc', actual, 'copyright'), join(target, `${name}.txt`));
    for (const architecture of architectures.filter((one) => one === 'amd64' || (arm64 && !here && one === 'arm64'))) {
      const purl = `pkg:deb/debian/${actual}@${encodeURIComponent(version)}?arch=${architecture}`;
      const licenses = [{ expression: license }];
      components.push({ 'bom-ref': purl, type: 'library', name: actual, version, purl, licenses });
    }
  }
  // What Debian's copyright files refer to.
  for (const name of ['GPL-2', 'GPL-3', 'LGPL-3']) {
    copyFileSync(join(librariesRoot, 'usr/share/common-licenses', name), join(target, `${name}.txt`));
  }
  writeFileSync(join(target, 'README.txt'), notice(components));
  for (const { name, version, license } of npmPackages(project, bundledByEsbuild)) {
    const folder = join(project, 'node_modules', name);
    const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    copyFileSync(join(folder, file), join(target, `npm-${name}.txt`));
    components.push(npmComponent({ name, version, license }));
  }
  return components;
}

function npmComponent({ name, version, license }) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return { 'bom-ref': purl, type: 'library', name, version, purl, licenses: [{ expression: license }] };
}

/** What npm installs with the package. `npm sbom --omit=dev` leaves out what development needs as well. */
export function runtimeComponents(project, dependencies) {
  return npmPackages(project, dependencies).map(npmComponent);
}
