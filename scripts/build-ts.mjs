// Compiles src/ twice: ES modules into lib/, CommonJS into lib/cjs/. tsc takes a file's dialect from the nearest
// package.json of its *source*, so the CommonJS pass compiles a copy of src/ that lies under such a package.json.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const lib = join(root, 'lib');
const tsc = join(root, 'node_modules', '.bin', 'tsc');
rmSync(lib, { recursive: true, force: true });

const run = (...args) => execFileSync(tsc, args, { cwd: root, stdio: 'inherit' });
run('-p', 'tsconfig.json');

const staging = join(root, 'build', 'cjs');
rmSync(staging, { recursive: true, force: true });
mkdirSync(staging, { recursive: true });
cpSync(join(root, 'src'), join(staging, 'src'), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(staging, 'node_modules'));
const scope = { type: 'commonjs', imports: { '#root': './src/root.cts' } };
writeFileSync(join(staging, 'package.json'), JSON.stringify(scope));
writeFileSync(
  join(staging, 'tsconfig.json'),
  JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { rootDir: 'src', outDir: join(lib, 'cjs') },
    include: ['src'],
    exclude: ['src/cli', 'src/root.mts', 'src/register.cts', 'src/report/page', 'src/leaks/rerun/launch.ts'],
  }),
);
run('-p', staging);
writeFileSync(
  join(lib, 'cjs', 'package.json'),
  JSON.stringify({ type: 'commonjs', imports: { '#root': './root.cjs' } }),
);
chmodSync(join(lib, 'cli', 'main.js'), 0o755);

// The HTML report's script and style, which go into every report.
run('-p', 'src/report/page');
buildSync({
  entryPoints: { flamegraph: join(root, 'src', 'report', 'page', 'main.ts') },
  outdir: join(lib, 'report', 'assets'),
  bundle: true,
  minify: true,
  // d3-flame-graph asks an object for its class by name.
  keepNames: true,
  format: 'iife',
  target: ['chrome110', 'firefox115', 'safari16.4'],
  legalComments: 'inline',
  logLevel: 'warning',
});
