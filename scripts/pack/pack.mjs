// `npm run pack`: makes the tarball that is published, with everything that a machine without a compiler needs.
//
//   node scripts/pack/pack.mjs [--destination FOLDER] [--here]
//
// With --here the native parts are those of build/Release: quick, and for systems as new as this one only.
//
// Prints the path of the tarball on stdout, and what is in it on stderr.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { addLicenses, addTcmalloc, runtimeComponents } from './bundle.mjs';
import { limits, survey } from './glibc.mjs';

const project = fileURLToPath(new URL('../..', import.meta.url));
const { values: options } = parseArgs({
  options: { destination: { type: 'string', default: project }, here: { type: 'boolean', default: false } },
});
options.destination = resolve(options.destination);
const place = join(project, 'build', 'pack', options.here ? 'here' : '.');
const stage = join(place, 'package');
const prebuilt = join(place, 'linux-x64');
/** The installation must be a matter of seconds. */
const maxSize = 5_000_000;

const run = (command, ...args) => execFileSync(command, args, { cwd: project, stdio: ['ignore', 2, 2] });
const say = (text) => process.stderr.write(`forkheap: ${text}\n`);

/** package.json without what only the project itself needs. */
function publishedManifest() {
  const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'));
  for (const field of ['devDependencies', 'scripts', 'gypfile', 'imports']) delete manifest[field];
  manifest.imports = { '#root': './lib/root.mjs' };
  // Yarn's Plug'n'Play keeps packages in archives, which the dynamic linker cannot read.
  manifest.preferUnplugged = true;
  manifest.files = ['lib', 'register', 'prebuilds', 'suppressions', 'licenses', 'sbom.cdx.json', 'CHANGELOG.md'];
  return manifest;
}

/** CycloneDX, from the dependencies that npm installs with the package and from what is bundled. */
function sbom(components) {
  const args = ['sbom', '--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only', '--loglevel=error'];
  const bom = JSON.parse(execFileSync('npm', args, { cwd: project, encoding: 'utf8', maxBuffer: 1 << 26 }));
  // The same input makes the same file.
  bom.metadata.component.name = 'forkheap';
  delete bom.serialNumber;
  delete bom.metadata.timestamp;
  const known = new Set(bom.components.map(({ purl }) => purl));
  const missing = runtimeComponents(project, Object.keys(publishedManifest().dependencies)).filter(
    ({ purl }) => !known.has(purl),
  );
  components.push(...missing);
  bom.components.push(...components);
  bom.dependencies.push(...components.map((component) => ({ ref: component['bom-ref'], dependsOn: [] })));
  const own = bom.dependencies.find(({ ref }) => ref === bom.metadata.component['bom-ref']);
  own?.dependsOn.push(...components.map((component) => component['bom-ref']));
  return bom;
}

// Tests pack while other tests run lib/.
if (!options.here) run(process.execPath, 'scripts/build-ts.mjs');
run('bash', 'scripts/pack/build-native.sh', ...(options.here ? ['--here'] : []));
if (!options.here) run('bash', 'scripts/pack/build-arm64.sh');

rmSync(stage, { recursive: true, force: true });
const target = join(stage, 'prebuilds', 'linux-x64');
mkdirSync(target, { recursive: true });
cpSync(prebuilt, target, { recursive: true });
addTcmalloc(target);
if (!options.here) cpSync(join(place, 'linux-arm64'), join(stage, 'prebuilds', 'linux-arm64'), { recursive: true });
cpSync(join(project, 'lib'), join(stage, 'lib'), { recursive: true });
cpSync(join(project, 'suppressions'), join(stage, 'suppressions'), { recursive: true });
// Inside of the package '#root' is a plain path: tools do not expect "imports" in the package.json of a folder.
for (const entry of readdirSync(join(stage, 'lib/cjs'), { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name);
  if (!entry.isFile() || !file.endsWith('.js')) continue;
  const path = relative(entry.parentPath, join(stage, 'lib/cjs/root.cjs'));
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replaceAll('require("#root")', `require(${JSON.stringify(path.startsWith('.') ? path : `./${path}`)})`),
  );
}
writeFileSync(join(stage, 'lib/cjs/package.json'), '{ "type": "commonjs" }\n');
// For resolvers that do not know "exports".
mkdirSync(join(stage, 'register'));
writeFileSync(
  join(stage, 'register/package.json'),
  '{ "main": "../lib/register.cjs", "types": "../lib/register.d.cts" }\n',
);
for (const name of ['LICENSE', 'README.md', 'CHANGELOG.md']) {
  if (existsSync(join(project, name))) cpSync(join(project, name), join(stage, name));
}
const librariesRoot = readFileSync(join(place, 'libraries-root'), 'utf8').trim();
const components = addLicenses(project, join(stage, 'licenses'), librariesRoot, !options.here);
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
writeFileSync(join(stage, 'sbom.cdx.json'), json(sbom(components)));
writeFileSync(join(stage, 'package.json'), json(publishedManifest()));

const { all, tooNew } = survey(join(stage, 'prebuilds'));
if (!options.here && tooNew.length > 0) {
  for (const { file, newest } of tooNew) {
    say(`${file} needs ${JSON.stringify(newest)}, more than ${JSON.stringify(limits)}`);
  }
  process.exit(1);
}

mkdirSync(options.destination, { recursive: true });
const packed = execFileSync('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', options.destination], {
  cwd: stage,
  encoding: 'utf8',
});
const [{ filename, entryCount }] = JSON.parse(packed);
const tarball = resolve(options.destination, filename);
const { size } = statSync(tarball);
say(`${entryCount} files, ${(size / 1e6).toFixed(2)} MB; runs on glibc ${all.GLIBC} and newer`);
if (size > maxSize) {
  say(`that is more than ${maxSize / 1e6} MB`);
  process.exit(1);
}
console.log(tarball);
