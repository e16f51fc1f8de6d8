// The API in a process that was preloaded, and in one that was not.
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, leaksOf, manifestOf } from '../helpers/profiles.js';

t.test('start, text, dump, stop', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    leaky.leak(100, 1000); // before the start: not in the profile
    const profile = api.startHeapProfile({ prefix });
    const running = api.isHeapProfilerRunning();
    leaky.leak(3, 1000);
    const text = profile.text();
    const first = profile.dump();
    leaky.leak(4, 1000);
    const second = profile.dump('a reason');
    leaky.leak(5, 1000);
    const last = profile.stop();
    leaky.leak(100, 1000); // after the stop
    console.log(JSON.stringify({ profile, text, dumps: [first, second, last], running, after: api.isHeapProfilerRunning() }));
  `;
  interface Said {
    profile: { pid: number; prefix: string; mode: string };
    text: string;
    dumps: string[];
    running: boolean;
    after: boolean;
  }
  const { profile, text, dumps, running, after } = await callApi<Said>(t, prefix, code);
  const base = `${prefix}_${profile.pid}`;
  t.match(profile, { prefix: base, mode: 'exact' });
  t.same([running, after], [true, false]);
  t.same(
    dumps,
    [1, 2, 3].map((number) => `${base}.000${number}.heap`),
  );
  t.same(filesIn(dirname(prefix)), [...dumps, `${base}.json`].map((path) => basename(path)).sort());
  for (const file of [...dumps, `${base}.json`]) t.equal(statSync(file).mode & 0o777, 0o600, file);
  t.match(text, /^heap profile: .* @ heapprofile\n(.*\n)+MAPPED_LIBRARIES:\n/);
  for (const [i, blocks] of [3, 7, 12].entries()) {
    const leaks = await leaksOf(t, dumps[i] ?? '');
    t.match(leaks.get(profile.pid), { inuseObjects: blocks, inuseSpace: blocks * 1000 }, `dump ${i + 1}`);
  }
  t.match(manifestOf(prefix, profile.pid), { kind: 'root', dumps: dumps.map((dump) => basename(dump)), exit: null });
});

t.test('a profile can be started again, and its numbers go on', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const dumps = [];
    for (let turn = 1; turn <= 3; turn++) {
      const profile = api.startHeapProfile({ prefix });
      leaky.leak(turn, 1000);
      dumps.push(profile.stop());
    }
    console.log(JSON.stringify({ pid: process.pid, dumps }));
  `;
  const { pid, dumps } = await callApi<{ pid: number; dumps: string[] }>(t, prefix, code);
  t.same(
    dumps,
    [1, 2, 3].map((number) => `${prefix}_${pid}.000${number}.heap`),
  );
  for (const [i, dump] of dumps.entries()) t.equal((await leaksOf(t, dump)).get(pid)?.inuseObjects, i + 1);
});

t.test('dispose stops the profile once', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const profile = api.startHeapProfile({ prefix });
    leaky.leak(2, 1000);
    profile[Symbol.dispose]();
    const running = api.isHeapProfilerRunning();
    profile[Symbol.dispose]();
    console.log(JSON.stringify({ pid: process.pid, running }));
  `;
  const { pid, running } = await callApi<{ pid: number; running: boolean }>(t, prefix, code);
  t.equal(running, false);
  t.same(filesIn(dirname(prefix)), [`profile_${pid}.0001.heap`, `profile_${pid}.json`]);
  t.equal((await leaksOf(t, prefix)).get(pid)?.inuseObjects, 2);
});

t.test("gperftools' own five functions", async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const states = [api.isHeapProfilerRunning()];
    api.heapProfilerStart(prefix);
    states.push(api.isHeapProfilerRunning());
    leaky.leak(6, 1000);
    const text = api.getHeapProfile();
    const dump = api.heapProfilerDump('a reason');
    const last = api.heapProfilerStop();
    states.push(api.isHeapProfilerRunning());
    console.log(JSON.stringify({ pid: process.pid, states, text, dump, last }));
  `;
  const said = await callApi<{ pid: number; states: boolean[]; text: string; dump: string; last: string }>(
    t,
    prefix,
    code,
  );
  t.same(said.states, [false, true, false]);
  t.same([said.dump, said.last], [`${prefix}_${said.pid}.0001.heap`, `${prefix}_${said.pid}.0002.heap`]);
  t.match(said.text, /^heap profile: .* @ heapprofile\n/);
  t.match(readFileSync(said.dump, 'utf8'), / 6: +6000 \[ +6: +6000\] @ /);
  t.equal((await leaksOf(t, said.dump)).get(said.pid)?.inuseSpace, 6000);
});

const anywhere = `
  const profile = startHeapProfile({ prefix: process.env.PREFIX });
  console.log(JSON.stringify({ pid: process.pid, dump: profile.stop(), running: isHeapProfilerRunning() }));
`;
for (const [dialect, load] of [
  ['an ES module', "import { startHeapProfile, isHeapProfilerRunning } from 'forkheap';"],
  ['CommonJS', "const { startHeapProfile, isHeapProfilerRunning } = require('forkheap');"],
] as const) {
  t.test(`from ${dialect}`, async (t) => {
    const prefix = tempPrefix(t);
    const env = { ...heapProfileEnv({ prefix, autoStart: false }, {}), PREFIX: prefix };
    const { code, stdout, stderr } = await runProcess(t, script(load + anywhere), { env });
    t.equal(code, 0, stderr);
    const { pid, dump, running } = JSON.parse(stdout);
    t.equal(dump, `${prefix}_${pid}.0001.heap`);
    t.equal(running, false);
    t.ok(statSync(dump).size > 0);
  });
}

t.test('both builds of the package in one process are one profile', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    import { createRequire } from 'node:module';
    import * as esm from 'forkheap';
    const cjs = createRequire(process.cwd() + '/x.js')('forkheap');
    const profile = esm.startHeapProfile({ prefix: process.env.PREFIX });
    const running = cjs.isHeapProfilerRunning();
    let code;
    try { cjs.startHeapProfile({ prefix: process.env.PREFIX }) } catch (error) { code = error.code }
    cjs.heapProfilerStop();
    console.log(JSON.stringify({ running, code, after: esm.isHeapProfilerRunning() }));
  `;
  const env = { ...heapProfileEnv({ prefix, autoStart: false }, {}), PREFIX: prefix };
  const result = await runProcess(t, script(code), { env });
  t.equal(result.stderr, '');
  t.same(JSON.parse(result.stdout), { running: true, code: 'ERR_FORKHEAP_ALREADY_RUNNING', after: false });
});

t.test('a worker thread shares the profile of its process', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const { Worker } = require('node:worker_threads');
    const profile = api.startHeapProfile({ prefix });
    const worker = new Worker(\`
      const { isHeapProfilerRunning, heapProfilerDump } = require('forkheap');
      require('./test/fixtures/programs/leaky.cjs').leaky.leak(9, 1000);
      require('node:worker_threads').parentPort.postMessage([isHeapProfilerRunning(), heapProfilerDump('worker')]);
    \`, { eval: true });
    worker.once('message', ([running, dump]) => {
      console.log(JSON.stringify({ pid: process.pid, running, dump, last: profile.stop() }));
    });
  `;
  const said = await callApi<{ pid: number; running: boolean; dump: string; last: string }>(t, prefix, code);
  t.match(said, {
    running: true,
    dump: `${prefix}_${said.pid}.0001.heap`,
    last: `${prefix}_${said.pid}.0002.heap`,
  });
  t.equal((await leaksOf(t, said.dump)).get(said.pid)?.inuseObjects, 9);
});

t.test('a child that starts by itself, from a parent that is not profiled', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const { fork } = require('node:child_process');
    const { heapProfileEnv } = require('forkheap');
    const path = './test/fixtures/programs/root-leak.mjs';
    const chosen = fork(path, ['5', '1000'], { env: heapProfileEnv({ prefix: process.env.PREFIX }) });
    const sibling = fork(path, ['5', '1000']);
    console.error(chosen.pid);
  `;
  const { stdout, stderr } = await runProcess(t, script(code), { env: { PREFIX: prefix } });
  t.equal(stdout.trim().split('\n').length, 2, 'both children ran');
  const chosen = Number(stderr);
  t.same(filesIn(dirname(prefix)), [`profile_${chosen}.0001.heap`, `profile_${chosen}.json`], 'the sibling has none');
  t.same(await leaksOf(t, prefix).then((leaks) => leaks.get(chosen)?.inuseSpace), 5000);
  t.match(manifestOf(prefix, chosen), { kind: 'root', exit: { code: 0, signal: null } });
});
