import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t from 'tap';
import type { LeakReport } from '../../src/capture/leak-checker.js';
import { tempPrefix } from '../helpers/fixtures.js';
import { compile, compileStub, withChecker } from '../helpers/leaks.js';
import { script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';

t.test('what was lost is found, with its bytes, blocks and place', async (t) => {
  const prefix = tempPrefix(t);
  const { clean, report, bytes, objects, pid } = await withChecker<{
    clean: boolean;
    report: LeakReport;
    bytes: number;
    objects: number;
    pid: number;
  }>(
    t,
    `const checker = new HeapLeakChecker('queries');
     leaky.leak(1000, 1000);
     const clean = checker.noLeaks();
     print({ clean, report: checker.report(), bytes: checker.bytesLeaked, objects: checker.objectsLeaked, pid: process.pid })`,
    { prefix },
  );
  t.notOk(clean);
  t.ok(objects >= 950 && objects <= 1000, `${objects} of 1,000 blocks`);
  t.equal(bytes, objects * 1000);
  t.match(report, { name: 'queries', pid, bytes, objects, path: `${prefix}_${pid}.0001.heap` });
  t.equal(report.findings.length, 1, 'one stack');
  t.match(report.findings[0], { owner: '(program)', stack: [{ name: 'leaky::LeakBlocks', file: /leaks\.cc$/ }] });
  t.ok(
    report.findings[0]?.stack.some(({ mapping, owner }) => mapping === '' && owner === '(program)'),
    'down to JavaScript',
  );
});

t.test('clean work, memory that only V8 points to, and what is disabled or ignored are no leaks', async (t) => {
  const answers = await withChecker<Record<string, unknown>>(
    t,
    `const { gzipSync } = require('node:zlib');
     const keep = [];
     const check = (f) => { const checker = new HeapLeakChecker('c'); f(); return checker.noLeaks() };
     const answers = {
       buffers: check(() => { for (let i = 0; i < 100; i++) keep.push(gzipSync(Buffer.alloc(10000, i))) }),
       // Sizes of which there is no other block: an old pointer to one that was freed holds nothing here.
       held: check(() => { for (let i = 0; i < 50; i++) keep.push(leaky.hold(5000)) }),
       disabled: check(() => {
         const disabler = HeapLeakChecker.disabler();
         leaky.leak(50, 700);
         disabler[Symbol.dispose]();
         disabler[Symbol.dispose]();
       }),
       enabledAgain: check(() => leaky.leak(50, 700)),
     };
     const at = [];
     answers.ignored = check(() => {
       for (let i = 0; i < 20; i++) at.push(leaky.loseAt(6000));
       for (const address of at) HeapLeakChecker.ignoreObject(address);
     });
     const checker = new HeapLeakChecker('unignored');
     for (const address of at) HeapLeakChecker.unIgnoreObject(address);
     checker.noLeaks();
     answers.twice = codeOf(() => { HeapLeakChecker.ignoreObject(at[0]); HeapLeakChecker.ignoreObject(at[0]) });
     print(answers)`,
  );
  t.same(answers, {
    buffers: true,
    held: true,
    disabled: true,
    enabledAgain: false,
    ignored: true,
    twice: 'ERR_FORKHEAP_INVALID_ARGUMENT',
  });
});

t.test("losses of libuv's pool threads are found", async (t) => {
  const report = await withChecker<LeakReport>(
    t,
    `const checker = new HeapLeakChecker('pool');
     leaky.loseInPool(1000, 900).then(() => checker.check()).then(print)`,
  );
  t.ok(report.objects >= 950, `${report.objects} of 1,000 blocks`);
  t.equal(report.bytes, report.objects * 900);
});

t.test('memory that other threads give back meanwhile hides nothing', async (t) => {
  const threads = compile(
    t,
    'unmapping-threads.cc',
    'unmapping-threads.so',
    '-shared',
    '-fPIC',
    '-pthread',
    '-Wl,-z,nodelete',
  );
  const report = await withChecker<LeakReport>(
    t,
    `try { process.dlopen({ exports: {} }, ${JSON.stringify(threads)}) } catch {}
     const checker = new HeapLeakChecker('unmapped');
     leaky.leak(20000, 1000);
     checker.noLeaks();
     print(checker.report())`,
  );
  t.ok(report.objects >= 19900, `${report.objects} of 20,000 blocks`);
});

t.test('what a live block was never written to holds nothing, and realloc loses nothing', async (t) => {
  const library = compile(t, 'reused.cc', 'reused.so', '-shared', '-fPIC', '-Wl,-z,nodelete');
  const report = await withChecker<LeakReport>(
    t,
    `const checker = new HeapLeakChecker('reused');
     try { process.dlopen({ exports: {} }, ${JSON.stringify(library)}) } catch {}
     checker.noLeaks();
     print(checker.report())`,
  );
  t.ok(report.objects >= 48 && report.objects <= 50, `${report.objects} of 50 blocks`);
});

t.test('where the heap grows for the dynamic linker it is no root', async (t) => {
  const library = compile(t, 'nothing.cc', 'nothing.so', '-shared', '-fPIC', '-Wl,-z,nodelete');
  const report = await withChecker<LeakReport>(
    t,
    `const { copyFileSync } = require('node:fs');
     const checker = new HeapLeakChecker('loaded');
     for (let i = 0; i < 800; i++) {
       copyFileSync(${JSON.stringify(library)}, ${JSON.stringify(library)} + i);
       try { process.dlopen({ exports: {} }, ${JSON.stringify(library)} + i) } catch {}
       if (i % 100 === 99) leaky.leak(200, 1000);
     }
     checker.noLeaks();
     print(checker.report())`,
  );
  t.ok(report.objects >= 1580, `${report.objects} of 1,600 blocks`);
});

t.test('the check of the whole program, as often as wanted', async (t) => {
  const answers = await withChecker<boolean[]>(
    t,
    `const answers = [HeapLeakChecker.noGlobalLeaks()];
     leaky.leak(50, 800);
     answers.push(HeapLeakChecker.noGlobalLeaks(), HeapLeakChecker.noGlobalLeaks(), HeapLeakChecker.isActive());
     print(answers)`,
    { mode: 'normal' },
  );
  t.same(answers, [true, false, false, true]);
});

t.test('what aborts in gperftools is an error with a code, and the process lives', async (t) => {
  const prefix = tempPrefix(t);
  const answers = await withChecker<Record<string, string | null>>(
    t,
    `const { Worker } = require('node:worker_threads');
     const fresh = new HeapLeakChecker('fresh');
     const used = new HeapLeakChecker('used');
     const held = HeapLeakChecker;
     const answers = {
       bytesBefore: codeOf(() => fresh.bytesLeaked),
       objectsBefore: codeOf(() => fresh.objectsLeaked),
       reportBefore: codeOf(() => fresh.report()),
       destroyBefore: codeOf(() => fresh[Symbol.dispose]()),
       destroyTwice: codeOf(() => fresh[Symbol.dispose]()),
       afterDestroy: codeOf(() => fresh.noLeaks()),
       first: codeOf(() => String(used.noLeaks())),
       second: codeOf(() => used.sameHeap()),
       unknown: codeOf(() => HeapLeakChecker.unIgnoreObject(leaky.loseAt(64))),
       noPointer: codeOf(() => HeapLeakChecker.ignoreObject('x')),
       slash: codeOf(() => new HeapLeakChecker('a/b')),
       empty: codeOf(() => new HeapLeakChecker('')),
       main: codeOf(() => new HeapLeakChecker('_main_')),
       owners: codeOf(() => new HeapLeakChecker('a', { owners: 'some' })),
     };
     const worker = new Worker(
       "const { HeapLeakChecker } = require('forkheap'); const { parentPort } = require('node:worker_threads');" +
       "try { new HeapLeakChecker('w').noLeaks() } catch (error) { parentPort.postMessage(error.code) }", { eval: true });
     worker.on('message', (code) => { answers.worker = code });
     process.on('exit', () => {
       answers.afterExit = codeOf(() => new HeapLeakChecker('late'));
       answers.globalAfterExit = codeOf(() => HeapLeakChecker.noGlobalLeaks());
       print(answers);
     })`,
    { prefix },
  );
  t.same(answers, {
    bytesBefore: 'ERR_FORKHEAP_NOT_CHECKED',
    objectsBefore: 'ERR_FORKHEAP_NOT_CHECKED',
    reportBefore: 'ERR_FORKHEAP_NOT_CHECKED',
    destroyBefore: 'ERR_FORKHEAP_NOT_CHECKED',
    destroyTwice: null,
    afterDestroy: 'ERR_FORKHEAP_ALREADY_CHECKED',
    first: 'true',
    second: 'ERR_FORKHEAP_ALREADY_CHECKED',
    unknown: 'ERR_FORKHEAP_NOT_IGNORED',
    noPointer: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    slash: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    empty: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    main: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    owners: 'ERR_FORKHEAP_INVALID_ARGUMENT',
    worker: 'ERR_FORKHEAP_NOT_MAIN_THREAD',
    afterExit: 'ERR_FORKHEAP_LEAK_CHECK_OVER',
    globalAfterExit: 'ERR_FORKHEAP_LEAK_CHECK_OVER',
  });
  const names = readdirSync(dirname(prefix));
  t.same(
    names.filter((name) => name.endsWith('.heap')),
    [],
    'nothing was lost, so there is no report',
  );
});

t.test('where ptrace is not permitted, nobody can tell', async (t) => {
  const command = [compile(t, 'no-ptrace.cc', 'no-ptrace')];
  const code = await withChecker<string>(
    t,
    `const checker = new HeapLeakChecker('c');
     print(codeOf(() => checker.noLeaks()))`,
    { command },
  );
  t.equal(code, 'ERR_FORKHEAP_LEAK_CHECK_FAILED');
});

t.test('a process without an active checker, and one with the stub of gperftools 2.17', async (t) => {
  const library = compileStub(t);
  const code = `
    const { HeapLeakChecker } = require('forkheap');
    const codeOf = (f) => { try { return f() ?? null } catch (error) { return error.code } };
    console.log(JSON.stringify({
      active: HeapLeakChecker.isActive(),
      make: codeOf(() => new HeapLeakChecker('a')),
      global: codeOf(() => HeapLeakChecker.noGlobalLeaks()),
      cancel: codeOf(() => HeapLeakChecker.cancelGlobalCheck()),
      ignore: codeOf(() => HeapLeakChecker.ignoreObject(4096)),
    }))`;
  const ask = async (env: Record<string, string | undefined>): Promise<unknown> => {
    const result = await runProcess(t, script(code), { env });
    t.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout);
  };
  const all = (error: string): unknown => ({ active: false, make: error, global: error, cancel: error, ignore: error });
  const idle = heapProfileEnv({ prefix: tempPrefix(t), autoStart: false }, {});
  t.same(await ask(idle), all('ERR_FORKHEAP_LEAK_CHECKER_INACTIVE'));
  t.same(await ask({}), { ...(all('ERR_FORKHEAP_NOT_PRELOADED') as object) });
  const before = process.env.FORKHEAP_TCMALLOC;
  process.env.FORKHEAP_TCMALLOC = library;
  t.teardown(() => {
    if (before === undefined) delete process.env.FORKHEAP_TCMALLOC;
    else process.env.FORKHEAP_TCMALLOC = before;
  });
  t.throws(() => heapProfileEnv({ leakCheck: 'normal' }), {
    code: 'ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED',
    path: library,
  });
  const stub = { ...heapProfileEnv({ prefix: tempPrefix(t), autoStart: false }, {}), HEAPCHECK: 'normal' };
  t.same(await ask(stub), all('ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED'), 'never "no leaks"');
});

t.test('options that exclude each other', async (t) => {
  t.throws(() => heapProfileEnv({ leakCheck: 'all' as 'local' }), { code: 'ERR_FORKHEAP_INVALID_ARGUMENT' });
  t.throws(() => heapProfileEnv({ leakCheck: 'local', mode: 'exact' }), { code: 'ERR_FORKHEAP_INVALID_ARGUMENT' });
  t.throws(() => heapProfileEnv({ leakCheck: 'local', dumpEvery: 1000 }), { code: 'ERR_FORKHEAP_INVALID_ARGUMENT' });
  t.throws(() => heapProfileEnv({}, { HEAPCHECK: 'normal' }), { code: 'ERR_FORKHEAP_INVALID_ARGUMENT' });
  const code = await withChecker<string>(
    t,
    `print(codeOf(() => require('forkheap').startHeapProfile({ prefix: '/tmp/never' })))`,
  );
  t.equal(code, 'ERR_FORKHEAP_ALREADY_RUNNING', 'profiler and checker at once');
  const env = heapProfileEnv({ leakCheck: 'strict' }, { PERFTOOLS_VERBOSE: '1' });
  t.match(env, { HEAPCHECK: 'strict', PERFTOOLS_VERBOSE: '1', FORKHEAP_MODE: 'check' });
});
