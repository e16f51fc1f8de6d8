// What cannot be profiled is refused before it is started: a sentence of its own and status 2.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { programObstacle } from '../../src/cli/obstacles.js';
import { platformObstacle } from '../../src/platform.js';
import { cli, forkheap } from '../helpers/forkheap.js';
import { root, runProcess } from '../helpers/process.js';

/** Compiles a program, or with -shared a library. */
function compile(t: Test, name: string, source: string, ...flags: string[]): string {
  const folder = t.testdir({ 'source.c': source });
  const file = join(folder, name);
  execFileSync('cc', ['-o', file, join(folder, 'source.c'), ...flags], { stdio: ['ignore', 'ignore', 'inherit'] });
  return file;
}

const empty = 'int main(void) { return 0; }\n';
const serves = '#include <stddef.h>\nvoid *malloc(size_t size) { (void)size; return 0; }\n';

async function refused(t: Test, program: string, sentence: RegExp, env: Record<string, string> = {}): Promise<void> {
  const { code, stdout, stderr } = await cli(t, ['run', '--', program, '-e', 'console.log("started")'], { env });
  t.equal(code, 2, stderr);
  t.match(stderr, sentence);
  t.match(stderr, /^forkheap: .*\[ERR_FORKHEAP_UNSUPPORTED_PROGRAM\]\n$/m, 'one line');
  t.equal(stdout, '');
}

t.test('more rights than its user', async (t) => {
  if (process.getuid?.() !== 0) return refused(t, '/usr/bin/passwd', /is setuid or setgid/);
  const file = compile(t, 'program', empty);
  chownSync(file, 65534, 65534);
  chmodSync(file, 0o4755);
  return refused(t, file, /is setuid or setgid/);
});

t.test('linked statically', async (t) => {
  await refused(t, compile(t, 'node', empty, '-static'), /is linked statically/);
});

t.test('linked statically, but not Node: it may start others', async (t) => {
  t.equal(programObstacle(compile(t, 'init', empty, '-static')), null);
});

t.test('linked with musl', async (t) => {
  const file = compile(t, 'node', empty, '-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1');
  await refused(t, file, /is linked with musl/);
});

t.test('another machine', async (t) => {
  const file = compile(t, 'node', empty);
  const bytes = readFileSync(file);
  bytes.writeUInt16LE(183, 18);
  writeFileSync(file, bytes);
  await refused(t, file, /is a program for arm64/);
});

t.test('a sanitizer', async (t) => {
  await refused(t, compile(t, 'node', empty, '-fsanitize=address'), /brings its own malloc \(libasan/);
});

t.test('an allocator inside', async (t) => {
  await refused(t, compile(t, 'node', serves + empty, '-rdynamic'), /brings its own malloc\./);
});

t.test('a script is what its first line says', async (t) => {
  const interpreter = compile(t, 'node', empty, '-static');
  const script = join(t.testdirName, 'script');
  writeFileSync(script, `#!${interpreter}\n`);
  chmodSync(script, 0o755);
  await refused(t, script, /is linked statically/);
});

t.test('another allocator in LD_PRELOAD', async (t) => {
  const library = compile(t, 'other.so', serves, '-shared', '-fPIC');
  const named = join(t.testdirName, 'libjemalloc.so.2');
  copyFileSync('/bin/true', named);
  // forkheap itself is a Node process that would have to start with it: the name of a file that is not there does.
  await refused(t, process.execPath, /LD_PRELOAD holds another allocator, libjemalloc\.so\.99/, {
    LD_PRELOAD: 'libjemalloc.so.99',
  });
  const { preloadObstacle } = await import('../../src/cli/obstacles.js');
  t.match(preloadObstacle(`/x/libkeep.so:${library}`), { message: new RegExp(library) });
  t.equal(preloadObstacle(named), null, 'what does not serve malloc is no allocator');
  t.equal(preloadObstacle('/x/libkeep.so /x/forkheap_preload.so:/x/libtcmalloc_and_profiler.so.4'), null);
});

t.test("Node's permission model", async (t) => {
  const { code, stderr } = await cli(t, ['run', '--', process.execPath, '--permission', 'a.js']);
  t.equal(code, 2);
  t.match(stderr, /--permission, which keeps forkheap's addon from being loaded/);
});

t.test('this Node can be profiled', async (t) => {
  t.equal(programObstacle(process.execPath), null);
});

t.test('a Node that is too old says so, and nothing else', async (t) => {
  const older = "data:text/javascript,Object.defineProperty(process, 'versions', { value: { node: '18.20.4' } })";
  const [node = '', ...rest] = forkheap('top', 'x');
  const { code, stderr } = await runProcess(t, [node, `--import=${older}`, ...rest]);
  t.match({ code, stderr }, { code: 2, stderr: /^forkheap: .* Node\.js 18\.20\.4: use 20\.17 or newer \[.*\]\n$/ });
});

t.test('each platform that is not supported has a sentence of its own', async (t) => {
  const linux = { platform: 'linux', arch: 'x64', interpreter: '/lib64/ld-linux-x86-64.so.2' };
  t.equal(platformObstacle(linux), null);
  t.match(platformObstacle({ ...linux, arch: 'arm64' }), /Linux on arm64.*x86-64 only/);
  t.match(platformObstacle({ ...linux, interpreter: '/lib/ld-musl-x86_64.so.1' }), /with musl.*node:22-slim/);
  t.match(platformObstacle({ platform: 'darwin', arch: 'arm64', interpreter: '' }), /on macOS/);
  t.match(platformObstacle({ platform: 'win32', arch: 'x64', interpreter: '' }), /on win32/);
});

t.test('FORKHEAP_TCMALLOC must be a heap profiler for this machine', async (t) => {
  const minimal = compile(t, 'minimal.so', serves, '-shared', '-fPIC');
  const foreign = join(t.testdirName, 'foreign.so');
  const bytes = readFileSync(minimal);
  bytes.writeUInt16LE(183, 18);
  writeFileSync(foreign, bytes);
  for (const [file, sentence] of [
    ['/nowhere.so', /does not exist/],
    [join(root, 'package.json'), /no shared library/],
    [foreign, /another kind of machine/],
    [minimal, /not gperftools' libtcmalloc_and_profiler/],
  ] as const) {
    const { code, stderr } = await cli(t, ['run', '--', process.execPath, '-e', '0'], {
      env: { FORKHEAP_TCMALLOC: file },
    });
    t.equal(code, 2);
    t.match(stderr, sentence);
  }
});

t.test('a child that brings its own malloc says that it is not profiled', async (t) => {
  const source = `#include <stdlib.h>
    #include <string.h>
    static char memory[1 << 26], *next = memory;
    void *malloc(size_t size) { char *block = next; next += (size + 15) & ~15ul; return block; }
    void *calloc(size_t n, size_t size) { return malloc(n * size); }
    void *realloc(void *old, size_t size) { return old ? memcpy(malloc(size), old, size) : malloc(size); }
    void free(void *block) { (void)block; }
    int main(void) { return malloc(10) == 0; }\n`;
  const file = compile(t, 'own', source, '-rdynamic');
  const folder = t.testdirName;
  const parent = join(folder, 'parent.cjs');
  writeFileSync(parent, "require('node:child_process').execFileSync(process.argv[2], { stdio: 'inherit' })");
  const result = await cli(t, [
    ...['run', '-q', '--include', 'own', '--prefix', join(folder, 'p')],
    ...['--', process.execPath, parent, file],
  ]);
  t.equal(result.code, 0, result.stderr);
  t.match(result.stderr, /^forkheap\[\d+\]: another library, or the program itself, serves malloc/m);
});
