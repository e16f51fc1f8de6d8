// What the children of a profiled process find in their environment.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, runProfiled } from '../helpers/profiles.js';

type Environment = Record<string, string>;

/** A library that says, in the environment, that it was loaded: NAME=1 in each process. */
function library(folder: string, name: string): string {
  const source = join(folder, 'loaded.c');
  const file = join(folder, 'loaded.so');
  writeFileSync(
    source,
    `#include <stdlib.h>\n__attribute__((constructor)) static void f(void) { setenv("${name}", "1", 1); }\n`,
  );
  execFileSync('cc', ['-shared', '-fPIC', '-o', file, source]);
  return file;
}

const printEnv = 'console.log(JSON.stringify(process.env))';
const count = (text: string | undefined, part: string): number => (text ?? '').split(part).length - 1;

/** Prints the environment of the process, its child, and that one's child, and so on; a line each. */
const levels = (depth: number): string => `
  const level = Number(process.env.LEVEL ?? 0);
  const line = JSON.stringify({ ...process.env, LEVEL: String(level) }) + '\\n';
  let below = '';
  if (level < ${depth}) below = require('node:child_process').execFileSync(process.execPath, [__filename], {
    env: { ...process.env, LEVEL: String(level + 1) }, encoding: 'utf8',
  });
  process.stdout.write(line + below);
`;

t.test('LD_PRELOAD and NODE_OPTIONS are kept, and nothing is there twice', async (t) => {
  const folder = t.testdir({
    'folder with "spaces"': { 'hook.cjs': 'globalThis.hooked = (globalThis.hooked ?? 0) + 1;' },
  });
  const file = join(folder, 'levels.cjs');
  writeFileSync(file, `process.env.HOOKED = String(globalThis.hooked);${levels(3)}`);
  const other = library(folder, 'OTHER_LOADED');
  const hook = join(folder, 'folder with "spaces"', 'hook.cjs').replaceAll('"', '\\"');
  const options = `--require "${hook}" --max-http-header-size=12345`;
  const { result } = await runProfiled(t, [process.execPath, file], {
    prefix: join(folder, 'profile'),
    env: { LD_PRELOAD: other, NODE_OPTIONS: options },
  });
  t.equal(result.stderr, '');
  const found = result.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Environment);
  t.equal(found.length, 4);
  for (const env of found) {
    t.equal(env.HOOKED, '1', 'the other module was loaded once');
    t.equal(env.OTHER_LOADED, '1', 'the other library was loaded');
    t.ok(env.LD_PRELOAD?.endsWith(`:${other}`));
    t.equal(count(env.LD_PRELOAD, 'forkheap_preload.so'), 1);
    t.equal(count(env.LD_PRELOAD, 'libtcmalloc_and_profiler'), 1);
    t.ok(env.NODE_OPTIONS?.endsWith(` ${options}`));
    t.equal(count(env.NODE_OPTIONS, 'register'), 1);
    t.equal(env.LD_PRELOAD, found[0]?.LD_PRELOAD);
    t.equal(env.NODE_OPTIONS, found[0]?.NODE_OPTIONS);
  }
  t.equal(filesIn(folder).filter((name) => name.endsWith('.heap')).length, 4, 'each level is profiled');
});

/** The environment that a child prints: it must be exactly `given`, but for what the other things here set. */
const childEnv = (how: string): string => `
  const { execFileSync, spawnSync } = require('node:child_process');
  console.log(execFileSync(process.execPath, ['-e', ${JSON.stringify(printEnv)}], { encoding: 'utf8' ${how} }));
`;

t.test("children: 'none' leaves their environment as it was", async (t) => {
  const folder = t.testdir({});
  const other = library(folder, 'OTHER_LOADED');
  const env = { LD_PRELOAD: other, NODE_OPTIONS: '--max-http-header-size=12345', OWN: 'a b' };
  const without = JSON.parse((await runProcess(t, script(childEnv('')), { env })).stdout);
  for (const [i, how] of ['', ', env: { ...process.env }'].entries()) {
    const options = { flags: ['--children', 'none'], env, prefix: join(folder, `profile${i}`) };
    const { result } = await runProfiled(t, script(childEnv(how)), options);
    t.same(JSON.parse(result.stdout), without, `the same with forkheap as without${how}`);
    const dumps = filesIn(folder).filter((name) => name.startsWith(`profile${i}_`) && name.endsWith('.heap'));
    t.equal(dumps.length, 1, 'one process is profiled');
  }
  const bare = await runProfiled(t, script(childEnv('')), { flags: ['--children', 'none'] });
  const names = Object.keys(JSON.parse(bare.result.stdout)).filter((name) =>
    /FORKHEAP|LD_PRELOAD|NODE_OPTIONS/.test(name),
  );
  t.same(names, [], 'no variable that was not there before');
});

t.test("startHeapProfile({ children: 'none' }), and stop(), leave the environment as it was", async (t) => {
  const prefix = tempPrefix(t);
  const code = (children: string): string => `
    const { execFileSync } = require('node:child_process');
    const env = () => JSON.parse(execFileSync(process.execPath, ['-e', ${JSON.stringify(printEnv)}], { encoding: 'utf8' }));
    const profile = api.startHeapProfile({ prefix, children: '${children}' });
    const during = env();
    profile.stop();
    const after = env();
    console.log(JSON.stringify({ during, after }));
  `;
  const ours = (env: Environment): string[] =>
    Object.keys(env).filter((name) => /FORKHEAP|LD_PRELOAD|NODE_OPTIONS|HEAPPROFILE/.test(name));
  const none = await callApi<{ during: Environment; after: Environment }>(t, prefix, code('none'));
  t.same(ours(none.during), []);
  t.same(ours(none.after), []);
  const all = await callApi<{ during: Environment; after: Environment }>(t, prefix, code('all'));
  t.equal(all.during.FORKHEAP_PREFIX, prefix);
  t.same(ours(all.after), []);
});

t.test('HEAPPROFILE goes, and forkheap says so', async (t) => {
  const folder = t.testdir({});
  const env = { HEAPPROFILE: join(folder, 'theirs') };
  const { result } = await runProfiled(t, script(childEnv('')), { prefix: join(folder, 'profile'), env });
  t.match(result.stderr, /^forkheap: HEAPPROFILE is set; .*--prefix instead\.\n$/);
  t.notOk('HEAPPROFILE' in JSON.parse(result.stdout));
  t.same(
    filesIn(folder).filter((name) => name.startsWith('theirs')),
    [],
  );
  t.notOk('HEAPPROFILE' in heapProfileEnv({ prefix: join(folder, 'x') }, env));
});

t.test('FORKHEAP_DISABLE=1 in the environment of a child leaves it out', async (t) => {
  const how = ", env: { ...process.env, FORKHEAP_DISABLE: '1' }";
  const { folder, result } = await runProfiled(t, script(childEnv(how)));
  t.equal(filesIn(folder).filter((name) => name.endsWith('.heap')).length, 1);
  t.notOk('LD_PRELOAD' in JSON.parse(result.stdout));
});
