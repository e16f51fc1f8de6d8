// Calls of the API that cannot do what they are asked: each has its own code, says what to do, and leaves nothing behind.
import { chmodSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { callApi, script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, leaksOf, manifestOf } from '../helpers/profiles.js';

const inert =
  'dumps = [codeOf(() => api.heapProfilerDump("x")), codeOf(api.heapProfilerStop), codeOf(api.getHeapProfile)];';

t.test('in a process that was not preloaded', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const { startHeapProfile, heapProfilerStart, isHeapProfilerRunning, heapProfilerStop } = require('forkheap');
    const errors = [];
    for (const start of [() => startHeapProfile({ prefix: process.env.PREFIX }), () => heapProfilerStart(process.env.PREFIX)]) {
      try { start() } catch ({ name, code, message }) { errors.push({ name, code, message }) }
    }
    let stop;
    try { heapProfilerStop() } catch ({ code }) { stop = code }
    console.log(JSON.stringify({ errors, stop, running: isHeapProfilerRunning(), env: Object.keys(process.env).filter((name) => /FORKHEAP/.test(name)) }));
  `;
  const { stdout, stderr } = await runProcess(t, script(code), { env: { PREFIX: prefix } });
  t.equal(stderr, '');
  const { errors, stop, running, env } = JSON.parse(stdout);
  t.equal(errors.length, 2);
  for (const error of errors) {
    t.match(error, {
      name: 'ForkheapError',
      code: 'ERR_FORKHEAP_NOT_PRELOADED',
      message: /forkheap run.*heapProfileEnv/,
    });
  }
  t.match(stop, /^ERR_FORKHEAP_NOT_(RUNNING|PRELOADED)$/);
  t.equal(running, false);
  t.same(env, [], 'nothing was put in the environment');
  t.same(filesIn(dirname(prefix)), []);
});

t.test('a second start, and calls without a profile', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    let dumps;
    ${inert}
    const before = dumps;
    const profile = api.startHeapProfile({ prefix });
    const second = [codeOf(() => api.startHeapProfile({ prefix: prefix + '2' })), codeOf(() => api.heapProfilerStart(prefix))];
    const wrongMode = codeOf(() => profile.setSampleInterval(1024));
    const dump = profile.stop();
    ${inert}
    const after = [...dumps, codeOf(() => profile.stop()), codeOf(() => profile.dump()), codeOf(() => profile.text())];
    console.log(JSON.stringify({ pid: process.pid, before, second, wrongMode, after, dump }));
  `;
  const said = await callApi<Record<string, unknown>>(t, prefix, code);
  t.same(said.before, Array(3).fill('ERR_FORKHEAP_NOT_RUNNING'));
  t.same(said.second, Array(2).fill('ERR_FORKHEAP_ALREADY_RUNNING'));
  t.equal(said.wrongMode, 'ERR_FORKHEAP_NOT_RUNNING');
  t.same(said.after, Array(6).fill('ERR_FORKHEAP_NOT_RUNNING'));
  t.equal(said.dump, `${prefix}_${said.pid}.0001.heap`, 'the first profile was not disturbed');
  t.same(filesIn(dirname(prefix)), [`profile_${said.pid}.0001.heap`, `profile_${said.pid}.json`]);
});

t.test('options that cannot be', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const options = [
      { mode: 'fast' }, { sampleInterval: 0 }, { sampleInterval: 1.5 }, { sampleInterval: 2 ** 31 }, { children: 'some' },
      { dumpSignal: 'SIGNONE' }, { dumpSignal: 'SIGKILL' }, { dumpEvery: -1 }, { maxDumps: 'x' }, { prefx: 'x' }, null, 'x',
    ].map((options) => codeOf(() => api.startHeapProfile(options && typeof options === 'object' ? { prefix, ...options } : options)));
    const prefixes = ['', 'a\\0b', '/' + 'x/'.repeat(2100) + 'x', prefix + 'x'.repeat(201), prefix + '/', 1].map((prefix) =>
      codeOf(() => api.startHeapProfile({ prefix })));
    const folders = [prefix + '/missing/x', process.execPath + '/x', prefix + '.missing/%p/x'].map((prefix) =>
      codeOf(() => api.startHeapProfile({ prefix })));
    console.log(JSON.stringify({ options, prefixes, folders, running: api.isHeapProfilerRunning() }));
  `;
  const said = await callApi<Record<string, unknown>>(t, prefix, code);
  t.same(said.options, Array(12).fill('ERR_FORKHEAP_INVALID_ARGUMENT'));
  t.same(said.prefixes, Array(6).fill('ERR_FORKHEAP_INVALID_PREFIX'));
  t.same(said.folders, Array(3).fill('ERR_FORKHEAP_PREFIX_NOT_WRITABLE'));
  t.equal(said.running, false);
});

t.test('heapProfileEnv checks its options too', async (t) => {
  const code = `
    const codes = [{ mode: 'x' }, { prefix: '' }, { sampleInterval: -1 }].map((o) => codeOf(() => api.heapProfileEnv(o)));
    console.log(JSON.stringify(codes));
  `;
  t.same(await callApi(t, tempPrefix(t), code), [
    'ERR_FORKHEAP_INVALID_ARGUMENT',
    'ERR_FORKHEAP_INVALID_PREFIX',
    'ERR_FORKHEAP_INVALID_ARGUMENT',
  ]);
});

t.test('collectHeapProfiles has no prefix: the tree is its own', async (t) => {
  const code = `
    api.collectHeapProfiles({ prefix: 'x' }).catch(({ code, message }) => console.log(JSON.stringify({ code, message })));
  `;
  const said = await callApi(t, tempPrefix(t), code);
  t.match(said, { code: 'ERR_FORKHEAP_INVALID_ARGUMENT', message: /unknown option prefix/ });
});

// Root may write anywhere, so the process becomes somebody else first.
t.test('a folder that cannot be written', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const prefix = tempPrefix(t);
  chmodSync(dirname(prefix), 0o755);
  const code = `
    api.isHeapProfilerRunning(); // loads the addon
    process.setuid(65534);
    let error;
    try { api.startHeapProfile({ prefix }) } catch ({ code, message, path }) { error = { code, message } }
    console.log(JSON.stringify(error));
  `;
  t.match(await callApi(t, prefix, code), {
    code: 'ERR_FORKHEAP_PREFIX_NOT_WRITABLE',
    message: new RegExp(`the folder ${dirname(prefix)} cannot be written: permission denied`),
  });
  t.same(filesIn(dirname(prefix)), []);
});

// A limit on the size of files stands for a full disk: a write gets so far, and no further.
const limit = `
  const limit = (bytes) => require('node:child_process').execFileSync('prlimit', ['--pid', process.pid, '--fsize=' + bytes + ':']);
`;
t.test('no room for a dump: earlier ones stay whole, and later ones can be made', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    ${limit}
    const profile = api.startHeapProfile({ prefix, children: 'none' });
    leaky.leak(1, 1000);
    const first = profile.dump();
    leaky.leak(2, 1000);
    limit(4096);
    const codes = [codeOf(() => profile.dump()), codeOf(() => profile.stop()), codeOf(() => profile.dump())];
    let error;
    try { profile.dump() } catch ({ message, code }) { error = { message, code } }
    const running = api.isHeapProfilerRunning();
    const files = require('node:fs').readdirSync(require('node:path').dirname(prefix));
    limit('unlimited');
    console.log(JSON.stringify({ pid: process.pid, first, codes, error, running, files, last: profile.stop() }));
  `;
  const said = await callApi<{ pid: number; first: string; last: string; files: string[] } & Record<string, unknown>>(
    t,
    prefix,
    code,
  );
  t.same(said.codes, Array(3).fill('ERR_FORKHEAP_DUMP_FAILED'));
  t.match(said.error, { message: /cannot write .*0002\.heap: no space left on the device\. Earlier dumps are whole/ });
  t.equal(said.running, true, 'stop() that cannot write does not stop');
  t.same(
    said.files.sort(),
    ['profile.control', `profile_${said.pid}.0001.heap`, `profile_${said.pid}.json`],
    'no half files',
  );
  t.same(
    [said.first, said.last],
    [1, 2].map((number) => `${prefix}_${said.pid}.000${number}.heap`),
  );
  t.same(filesIn(dirname(prefix)), [
    ...[1, 2].map((n) => `profile_${said.pid}.000${n}.heap`),
    `profile_${said.pid}.json`,
  ]);
  t.equal((await leaksOf(t, said.first)).get(said.pid)?.inuseObjects, 1);
  t.equal((await leaksOf(t, said.last)).get(said.pid)?.inuseObjects, 3);
  t.match(manifestOf(prefix, said.pid), { dumps: [1, 2].map((n) => `profile_${said.pid}.000${n}.heap`) });
});

t.test('a file under the next name stays, and the dump takes the name behind it', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const { writeFileSync } = require('node:fs');
    const profile = api.startHeapProfile({ prefix });
    const dumps = [profile.dump()];
    writeFileSync(prefix + '_' + process.pid + '.0002.heap', 'not ours');
    dumps.push(profile.dump(), profile.stop());
    console.log(JSON.stringify({ pid: process.pid, dumps }));
  `;
  const { pid, dumps } = await callApi<{ pid: number; dumps: string[] }>(t, prefix, code);
  t.same(
    dumps,
    [1, 3, 4].map((number) => `${prefix}_${pid}.000${number}.heap`),
  );
  t.equal(readFileSync(join(dirname(prefix), `profile_${pid}.0002.heap`), 'utf8'), 'not ours');
});

t.test('the names of an earlier process with the same pid are not touched', async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const { writeFileSync } = require('node:fs');
    const base = prefix + '_' + process.pid;
    writeFileSync(base + '.json', 'earlier');
    writeFileSync(base + '-2.0001.heap', 'without a manifest');
    const profile = api.startHeapProfile({ prefix });
    leaky.leak(3, 1000);
    console.log(JSON.stringify({ pid: process.pid, base: profile.prefix, dump: profile.stop() }));
  `;
  const { pid, base, dump } = await callApi<{ pid: number; base: string; dump: string }>(t, prefix, code);
  t.equal(base, `${prefix}_${pid}-3`);
  t.equal(dump, `${prefix}_${pid}-3.0001.heap`);
  t.same(
    filesIn(dirname(prefix)),
    ['-2.0001.heap', '-3.0001.heap', '-3.json', '.json'].map((end) => `profile_${pid}${end}`).sort(),
  );
  t.equal(readFileSync(`${prefix}_${pid}.json`, 'utf8'), 'earlier');
  t.equal(readFileSync(`${prefix}_${pid}-2.0001.heap`, 'utf8'), 'without a manifest');
  t.equal((await leaksOf(t, dump)).get(pid)?.inuseObjects, 3);
});
