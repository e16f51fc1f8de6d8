// What the benchmarks share: where things are, what machine this is, tables.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPreload, findTcmalloc } from '../lib/capture/libraries.js';

export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
export const buildFolder = join(root, 'build', 'bench');
export const preload = findPreload();
export const tcmalloc = findTcmalloc();

/** The command that runs `forkheap ARGS`. */
export const forkheap = (...args) => [process.execPath, join(root, 'lib', 'cli', 'main.js'), ...args];

export const tempFolder = (name) => mkdtempSync(join(tmpdir(), `forkheap-${name}-`));

/** Compiles a C++ program into the build folder unless it is there already; returns its path. */
export function compile(source) {
  const program = join(buildFolder, basename(source, '.cc'));
  mkdirSync(buildFolder, { recursive: true });
  const built = statSync(program, { throwIfNoEntry: false });
  if (built === undefined || built.mtimeMs < statSync(source).mtimeMs) {
    const flags = ['-std=c++17', '-D_GNU_SOURCE', '-O2', '-g', '-Wall', '-Wextra', '-pthread'];
    execFileSync('g++', [...flags, source, '-o', program], { stdio: 'inherit' });
  }
  return program;
}

/** The environment without anything that profiles or changes malloc. */
export function plainEnv(added = {}) {
  const env = { ...process.env, ...added };
  for (const name of Object.keys(env)) {
    if (/^(FORKHEAP_|HEAPPROFILE|HEAPCHECK|LD_PRELOAD$|NODE_OPTIONS$)/.test(name) && !(name in added)) delete env[name];
  }
  return env;
}

/** Runs a command to its end: { status, signal, stdout, stderr }. */
export function run([file, ...args], env = plainEnv(), options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** One value in the middle: the lower of two. */
export function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / 2)];
}

export function percentile(numbers, part) {
  return [...numbers].sort((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))];
}

function gperftoolsVersion() {
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholder
    return execFileSync('dpkg-query', ['--show', '--showformat=${Version}', 'libgoogle-perftools4'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return basename(realpathSync(tcmalloc)); // built by hand
  }
}

/** A line that says where and when numbers were measured. */
export function circumstances() {
  const name = /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const [cpu] = cpus();
  return (
    `${new Date().toISOString().slice(0, 10)}, ${name}, Linux ${release()}, ${cpus().length} x ${cpu?.model.trim()}, ` +
    `Node ${process.versions.node}, gperftools ${gperftoolsVersion()}, load average before ${loadavg()[0].toFixed(1)}`
  );
}

/** A Markdown table. */
export function table(headings, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(headings), line(headings.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** Prints a report, and writes it to `file` if one is given. */
export function report(text, file) {
  console.log(text);
  if (file === undefined) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
