// checkNativeLeaks in preloaded processes.
import { readdirSync } from 'node:fs';
import { findNativeGrowth, heapProfileEnv, type NativeLeakVerdict, readProfile } from 'forkheap';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { callApi } from '../helpers/preloaded.js';
import { root, runProcess } from '../helpers/process.js';
import { filesIn, runProfiled } from '../helpers/profiles.js';

/** Runs a check in a preloaded process; `code` sees `leaky`, `api`, and `level(package)`. */
function check(t: Parameters<typeof callApi>[0], code: string): Promise<NativeLeakVerdict> {
  return callApi<NativeLeakVerdict>(
    t,
    tempPrefix(t),
    `(async () => { ${code} })().then((v) => console.log(JSON.stringify(v)));`,
  );
}

/** All of what was lost, to the block and byte, from the place named. */
function sameLeak(
  t: Parameters<typeof callApi>[0],
  verdict: NativeLeakVerdict,
  place: string,
  blocks: number,
  bytes: number,
): void {
  t.equal(verdict.leaks, true, verdict.reason);
  const [finding] = verdict.findings;
  t.equal(verdict.findings.length, 1);
  t.match(finding?.stack[0]?.name, place);
  t.equal(finding?.objects, blocks * verdict.iterations, 'blocks in all');
  t.equal(finding?.bytes, blocks * bytes * verdict.iterations, 'bytes in all');
  t.ok(Math.abs(verdict.bytesPerIteration / (blocks * bytes) - 1) < 1e-9, `${verdict.bytesPerIteration} bytes a call`);
  t.ok(Math.abs(verdict.objectsPerIteration / blocks - 1) < 1e-9, `${verdict.objectsPerIteration} blocks a call`);
}

t.test('root, child and cluster worker: all blocks, and no files', async (t) => {
  const folder = t.testdir({});
  const env = heapProfileEnv({ prefix: `${folder}/profile`, autoStart: false }, {});
  const { code, stdout, stderr } = await runProcess(t, program('leaks/tree.cjs', 3, 500), { env });
  t.equal(code, 0, stderr);
  t.equal(stderr, '');
  const verdicts = JSON.parse(stdout) as Record<string, NativeLeakVerdict>;
  t.same(Object.keys(verdicts), ['root', 'child', 'cluster-worker']);
  for (const verdict of Object.values(verdicts)) {
    sameLeak(t, verdict, 'leaky::Inner', 3, 500);
    t.same(
      verdict.findings[0]?.stack.slice(0, 3).map((frame) => frame.name),
      ['leaky::Inner', 'leaky::Middle', 'leaky::Outer'],
    );
    t.ok(
      verdict.findings[0]?.stack.some((frame) => frame.file.endsWith('/tree.cjs')),
      'down to JavaScript',
    );
    t.match(verdict, { mode: 'exact', rerun: false, suspects: [], detectable: 0 });
  }
  t.equal(new Set(Object.values(verdicts).map((verdict) => verdict.pid)).size, 3);
  t.same(readdirSync(folder), []);
});

t.test('a child of fork(2) runs no JavaScript: its dumps tell', async (t) => {
  const flags = ['--dump-allocated', '100KB', '--keep'];
  const { prefix, result } = await runProfiled(t, program('native-fork.cjs', 2000, 1000, '_exit'), { flags });
  const child = leaksIn(result.stdout).find(({ kind }) => kind === 'fork');
  const dumps = filesIn(prefix.slice(0, prefix.lastIndexOf('/'))).filter(
    (name) => name.includes(`_${child?.pid}.`) && name.endsWith('.heap'),
  );
  t.ok(dumps.length >= 15, `${dumps.length} dumps`);
  const profiles = dumps.map((_, i) => readProfile(`${prefix}_${child?.pid}`, { dump: i + 1 }));
  // The last one is made at the end, not after as much work.
  const { leaks, findings } = await findNativeGrowth(profiles.slice(0, -1), { iterations: 100 });
  t.equal(leaks, true);
  t.match(findings[0]?.stack[0]?.name, 'leaky::LeakBlocks');
  t.ok(
    Math.abs((findings[0]?.bytesPerIteration ?? 0) / 1000 - 1) < 0.05,
    `${findings[0]?.bytesPerIteration} bytes a block`,
  );
  t.rejects(findNativeGrowth(profiles.slice(0, 3)), { code: 'ERR_FORKHEAP_INVALID_ARGUMENT' });
});

t.test('what grows and is no leak', async (t) => {
  const quiet = `{ iterations: 50 }`;
  for (const [name, call] of Object.entries({
    'a cache that fills for 700 calls': 'leaky.fillCache(call, 700, 200)',
    'warm-up': 'leaky.warmUp(1000)',
    'a vector that doubles': 'leaky.push()',
    'what finalizers free': 'leaky.wrap(5, 1000)',
    'what is freed': 'leaky.leak(3, 100); leaky.freeAll()',
  })) {
    const verdict = await check(t, `return api.checkNativeLeaks((call) => { ${call} }, ${quiet})`);
    t.equal(verdict.leaks, false, `${name}: ${verdict.reason}`);
    t.same(verdict.suspects, []);
  }
});

t.test('suppressions, owners, a rare leak', async (t) => {
  const leak = '(call) => leaky.leakFrom("outer", call % 7 === 0 ? 1 : 0, 700)';
  sameRate(await check(t, `return api.checkNativeLeaks(${leak})`), 100);
  const suppressed = await check(
    t,
    `
    require('node:fs').writeFileSync(prefix, '# known\\nleak:leaky::Middle\\n');
    return api.checkNativeLeaks(${leak}, { suppressions: prefix });
  `,
  );
  t.match(suppressed, { leaks: false, findings: [], suppressed: [{ owner: '(program)' }] });
  t.equal((await check(t, `return api.checkNativeLeaks(${leak}, { owners: ['leveldown'] })`)).leaks, false);

  function sameRate(verdict: NativeLeakVerdict, bytes: number): void {
    t.equal(verdict.leaks, true);
    t.ok(Math.abs(verdict.bytesPerIteration / bytes - 1) < 0.05, `${verdict.bytesPerIteration} bytes a call`);
  }
});

t.test('a real leak: leveldown 6.1.0 loses the keys of getMany, 6.1.1 does not', async (t) => {
  const code = (name: string): string => `
    const { promisify } = require('node:util');
    const db = require('./examples/level-service/node_modules/${name}')(prefix);
    await promisify(db.open.bind(db))();
    const keys = Array.from({ length: 10 }, (_, i) => String(i).padEnd(399, '.'));
    const getMany = promisify(db.getMany.bind(db));
    const verdict = await api.checkNativeLeaks(() => getMany(keys), { iterations: 20 });
    await promisify(db.close.bind(db))();
    return verdict;
  `;
  const verdict = await check(t, code('leveldown'));
  t.equal(verdict.leaks, true);
  t.same(new Set(verdict.findings.map(({ owner }) => owner)), new Set(['leveldown']));
  t.match(verdict.findings[0]?.stack[0]?.name, 'db_get_many');
  t.ok(Math.abs(verdict.bytesPerIteration / 4000 - 1) < 0.05, `${verdict.bytesPerIteration} bytes a call`);
  t.equal((await check(t, code('leveldown-fixed'))).leaks, false);
});

t.test('sampled: found when there are samples enough, else it says how many calls it takes', async (t) => {
  const options = `mode: 'sampled', sampleInterval: 4096`;
  const found = await check(t, `return api.checkNativeLeaks(() => leaky.leak(10, 1000), { ${options} })`);
  t.equal(found.leaks, true, found.reason);
  t.match(found, { mode: 'sampled', sampleInterval: 4096 });
  const { bytesPerIteration, findings } = found;
  t.ok(
    Math.abs(bytesPerIteration - 10_000) <= 3 * (findings[0]?.margin ?? 0),
    `${bytesPerIteration} ± ${findings[0]?.margin}`,
  );
  const few = await check(
    t,
    `return api.checkNativeLeaks(() => leaky.leak(1, 100), { ${options}, smallest: 100, maxIterations: 800 })`,
  );
  t.equal(few.leaks, 'unknown');
  t.ok(few.iterationsNeeded > 1000, `${few.iterationsNeeded} calls`);
  t.ok(few.detectable > 100, `nothing below ${few.detectable} bytes a call`);
});

t.test('a profile that runs is read, and goes on', async (t) => {
  const prefix = tempPrefix(t);
  const said = await callApi<{ verdict: NativeLeakVerdict; dump: string; running: boolean }>(
    t,
    prefix,
    `(async () => {
      const profile = api.startHeapProfile({ prefix });
      const verdict = await api.checkNativeLeaks(() => leaky.leak(2, 500), { iterations: 10 });
      console.log(JSON.stringify({ verdict, running: api.isHeapProfilerRunning(), dump: profile.stop() }));
    })();`,
  );
  sameLeak(t, said.verdict, 'leaky::LeakBlocks', 2, 500);
  t.equal(said.running, true);
  t.match(said.dump, /\.0001\.heap$/);
});

t.test('threads take turns', async (t) => {
  const verdicts = await callApi<NativeLeakVerdict[]>(
    t,
    tempPrefix(t),
    `const { Worker } = require('node:worker_threads');
    const code = \`const { leaky } = require('./test/fixtures/programs/leaky.cjs');
      require('forkheap').checkNativeLeaks(() => leaky.leak(2, 500), { iterations: 10 })
        .then((verdict) => require('node:worker_threads').parentPort.postMessage(verdict));\`;
    const check = () => new Promise((resolve, reject) => new Worker(code, { eval: true }).on('message', resolve).on('error', reject));
    Promise.all([check(), check()]).then((verdicts) => console.log(JSON.stringify(verdicts)));`,
    { cwd: root },
  );
  for (const verdict of verdicts) sameLeak(t, verdict, 'leaky::LeakBlocks', 2, 500);
});

t.test('errors', async (t) => {
  const codes = await callApi<unknown>(
    t,
    tempPrefix(t),
    `(async () => {
      const code = (promise) => promise.then(() => null, (error) => error.code ?? error.message);
      const few = { iterations: 10 };
      console.log(JSON.stringify({
        argument: await code(api.checkNativeLeaks(1)),
        option: await code(api.checkNativeLeaks(() => {}, { iteration: 1 })),
        rounds: await code(api.checkNativeLeaks(() => {}, { rounds: 3 })),
        suppressions: await code(api.checkNativeLeaks(() => {}, { suppressions: 'nowhere' })),
        nested: await code(api.checkNativeLeaks(() => api.checkNativeLeaks(() => {}))),
        thrown: await code(api.checkNativeLeaks(() => { throw new Error('of the function') })),
        leaks: await code(api.assertNoNativeLeaks(() => leaky.leak(1, 100), few)),
        unknown: await code(api.assertNoNativeLeaks(() => leaky.leak(1, 100), { maxIterations: 10 })),
        running: api.isHeapProfilerRunning(),
      }));
    })();`,
  );
  t.same(codes, {
    argument: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    option: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    rounds: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    suppressions: 'ERR_FORKHEAP_NO_FILES',
    nested: 'ERR_FORKHEAP_ALREADY_RUNNING',
    thrown: 'of the function',
    leaks: 'ERR_FORKHEAP_LEAKS',
    unknown: 'ERR_FORKHEAP_LEAKS_UNKNOWN',
    running: false,
  });
});

t.test('the report', async (t) => {
  const text = await callApi<string>(
    t,
    tempPrefix(t),
    `api.assertNoNativeLeaks(() => leaky.leakFrom('outer', 3, 500), { name: 'a name', iterations: 10 })
      .catch((error) => console.log(JSON.stringify(error.message)));`,
  );
  t.match(
    text,
    /^\(program\) loses 1\.46 KiB of native memory at every call: .*\(a name; process \d+, exact profile\)\.$/m,
  );
  t.match(text, /^\(program\): 1\.46 KiB in 3 blocks a call, from leaky::Inner$/m);
  t.match(text, / {4}at leaky::Inner .*\n {4}at leaky::Middle .*\n {4}at leaky::Outer /);
});
