// Whatever way a process ends, it leaves a whole profile with what it leaked, and how it ended.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import t, { type Test } from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { readTop } from '../helpers/forkheap.js';
import { script } from '../helpers/preloaded.js';
import {
  filesIn,
  firstFiles,
  leaksOf,
  manifestOf,
  runProfiled,
  sameLeaks,
  startProfiled,
  watchFor,
} from '../helpers/profiles.js';

t.setTimeout(300_000);

const BLOCKS = 321;
const BYTES = 1234;
const leak = { inuseObjects: BLOCKS, inuseSpace: BLOCKS * BYTES };

/** A program that leaks, says its pid, and goes on with `code`. */
const leaking = (code: string): string[] =>
  script(`
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    leaky.leak(${BLOCKS}, ${BYTES});
    require('node:fs').writeSync(1, process.pid + '\\n');
    ${code}
  `);

interface Exit {
  code: number | null;
  signal: string | null;
}

/** The files of the one process with this pid are whole, and tell its leak and its end. */
async function told(t: Test, run: { prefix: string; folder: string }, pid: number, exit: Exit): Promise<void> {
  t.same(filesIn(run.folder), firstFiles(run.prefix, [pid]), 'one dump and one manifest');
  t.match((await leaksOf(t, run.prefix)).get(pid), leak);
  t.match(manifestOf(run.prefix, pid), { exit });
}

const byItself: Record<string, [string, Exit, number]> = {
  'the end of the script': ['', { code: 0, signal: null }, 0],
  'an exit code': ['process.exitCode = 9', { code: 9, signal: null }, 9],
  'process.exit': ['process.exit(7)', { code: 7, signal: null }, 7],
  'process.exit in a listener': [
    'process.on("exit", () => process.exit(5)); process.exit(7)',
    { code: 5, signal: null },
    5,
  ],
  'process.reallyExit': ['process.reallyExit(4)', { code: 4, signal: null }, 4],
  'an uncaught exception': ['throw new Error("on purpose")', { code: 1, signal: null }, 1],
  'an unhandled rejection': ['Promise.reject(new Error("on purpose"))', { code: 1, signal: null }, 1],
  'process.abort': ['process.abort()', { code: null, signal: 'SIGABRT' }, 134],
  'process.exit in a worker thread, which ends that only': [
    'new (require("node:worker_threads").Worker)("process.exit(3)", { eval: true })',
    { code: 0, signal: null },
    0,
  ],
};
for (const [way, [code, exit, status]] of Object.entries(byItself)) {
  t.test(way, async (t) => {
    const run = await runProfiled(t, leaking(code), { status });
    await told(t, run, Number(run.result.stdout), exit);
  });
}

t.test('what JavaScript holds to the end is in the last dump', async (t) => {
  const bytes = 10 << 20;
  const run = await runProfiled(t, leaking(`globalThis.kept = Buffer.alloc(${bytes}, 1)`));
  const [process] = (await readTop(t, run.prefix)).processes;
  t.ok((process?.inuseSpace ?? 0) >= bytes, `${process?.inuseSpace} bytes in use`);
});

t.test('an exit event that a program makes up is no end', async (t) => {
  const code = `process.emit('exit', 3);
    require('forkheap').heapProfilerDump('later');
    leaky.leak(${BLOCKS}, ${BYTES});
    process.reallyExit(4);`;
  const run = await runProfiled(t, leaking(code), { status: 4 });
  const pid = Number(run.result.stdout);
  t.match((await leaksOf(t, run.prefix)).get(pid), { inuseObjects: 2 * BLOCKS, inuseSpace: 2 * BLOCKS * BYTES });
  t.match(manifestOf(run.prefix, pid), { exit: { code: 4, signal: null } });
});

const setUps: Record<string, string> = {
  'no handler': '',
  'a handler that was removed again': 'const f = () => {}; process.on(SIGNAL, f); process.removeListener(SIGNAL, f);',
};
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
  const number = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1, SIGQUIT: 3 }[signal];
  for (const [what, code] of Object.entries(setUps)) {
    t.test(`${signal}, ${what}`, async (t) => {
      const said = `${code.replaceAll('SIGNAL', `'${signal}'`)} setInterval(() => {}, 1e6); console.log('ready')`;
      const running = startProfiled(t, leaking(said));
      const pid = Number((await running.line(/^\d+$/))[0]);
      await running.line(/^ready$/);
      process.kill(pid, signal);
      t.match(await running.result, { code: 128 + number, stderr: '' });
      await told(t, running, pid, { code: null, signal });
    });
  }
  t.test(`${signal}, a handler that exits`, async (t) => {
    const code = `process.on('${signal}', () => process.exit(33)); setInterval(() => {}, 1e6); console.log('ready')`;
    const running = startProfiled(t, leaking(code));
    const pid = Number((await running.line(/^\d+$/))[0]);
    await running.line(/^ready$/);
    process.kill(pid, signal);
    t.match(await running.result, { code: 33, stderr: '' });
    await told(t, running, pid, { code: 33, signal: null });
  });
}

t.test('SIGKILL: the last rolling dump is there', async (t) => {
  const running = startProfiled(t, leaking('setInterval(() => {}, 1e6)'), { flags: ['--dump-every', '100ms'] });
  const pid = Number((await running.line(/^\d+$/))[0]);
  const dump = `${running.prefix}_${pid}.0001.heap`;
  const line = new RegExp(` ${leak.inuseObjects}: +${leak.inuseSpace} `);
  await watchFor(running.folder, () => (contains(dump, line) ? true : undefined));
  process.kill(pid, 'SIGKILL');
  t.match(await running.result, { code: 137, stderr: '' });
  const left = filesIn(running.folder).filter((name) => !name.endsWith('.tmp'));
  t.same(left, firstFiles(running.prefix, [pid]), 'it replaces itself');
  t.match((await leaksOf(t, running.prefix)).get(pid), leak);
  t.equal(manifestOf(running.prefix, pid).exit, null);
});

// From Node 26 on exit() may wait in a forked child for threads that it does not have, profiled or not.
const byExit = Number.parseInt(process.versions.node, 10) < 26 ? { exit: { code: 0, signal: null } } : {};
for (const [ending, exit] of Object.entries({
  ...byExit,
  _exit: { code: 0, signal: null },
  abort: { code: null, signal: 'SIGABRT' },
  SIGTERM: { code: null, signal: 'SIGTERM' },
})) {
  t.test(`a forked child: ${ending}`, async (t) => {
    const run = await runProfiled(t, program('native-fork.cjs', BLOCKS, BYTES, ending));
    const processes = leaksIn(run.result.stdout);
    const child = processes[1]?.pid ?? 0;
    t.equal(run.result.stderr, '');
    await sameLeaks(t, run.prefix, processes);
    t.match(manifestOf(run.prefix, child), { kind: 'fork', exit });
  });
}

t.test('a forked child: SIGKILL, after a dump at a threshold', async (t) => {
  // The last 1 MB block of the leak reaches the threshold, which counts from the fork.
  const command = program('native-fork.cjs', 5, 1_000_000, 'SIGKILL');
  const run = await runProfiled(t, command, { flags: ['--dump-allocated', '5000000', '--dump-inuse', '0'] });
  const processes = leaksIn(run.result.stdout);
  await sameLeaks(t, run.prefix, processes);
  t.match(manifestOf(run.prefix, processes[1]?.pid ?? 0), { kind: 'fork', exit: null });
});

t.test('a cluster: workers that disconnect, are killed, exit, and call process.reallyExit', async (t) => {
  const code = `
    const cluster = require('node:cluster');
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    if (cluster.isWorker) {
      leaky.leak(${BLOCKS}, ${BYTES});
      process.on('message', (how) => {
        if (how === 'disconnect') cluster.worker.disconnect();
        else if (how === 'reallyExit') process.reallyExit(8);
        else process.exit(6);
      });
      process.send(process.pid);
    } else {
      const pids = {};
      for (const how of ['disconnect', 'kill', 'exit', 'reallyExit']) {
        const worker = cluster.fork();
        worker.once('message', (pid) => {
          pids[how] = pid;
          if (how === 'kill') worker.process.kill('SIGTERM');
          else worker.send(how);
        });
      }
      process.on('exit', () => console.log(JSON.stringify(pids)));
    }
  `;
  const prefix = tempPrefix(t);
  const file = t.testdir({ 'cluster.cjs': code.replaceAll('./test/', `${process.cwd()}/test/`) });
  const run = await runProfiled(t, [process.execPath, `${file}/cluster.cjs`], { prefix });
  const pids = JSON.parse(run.result.stdout) as Record<'disconnect' | 'kill' | 'exit' | 'reallyExit', number>;
  const leaks = await leaksOf(t, prefix);
  for (const pid of Object.values(pids)) t.match(leaks.get(pid), leak);
  t.match(manifestOf(prefix, pids.disconnect), { kind: 'cluster-worker', exit: { code: 0, signal: null } });
  t.match(manifestOf(prefix, pids.kill), { exit: { code: null, signal: 'SIGTERM' } });
  t.match(manifestOf(prefix, pids.exit), { exit: { code: 6, signal: null } });
  t.match(manifestOf(prefix, pids.reallyExit), { exit: { code: 8, signal: null } });
});

// By growth, which unlike time is the same in every run: what is lost is one interval at most, or two when the end comes
// in the middle of a dump.
const INTERVAL = 8 << 20;
const byGrowth = ['--dump-every', '0', '--dump-inuse', String(INTERVAL)];

t.test('SIGKILL of a cluster worker: its profile is one interval old at most', async (t) => {
  const code = `
    const cluster = require('node:cluster');
    const { leaky } = require('${process.cwd()}/test/fixtures/programs/leaky.cjs');
    if (cluster.isWorker) {
      for (let i = 0; i < 40; i++) leaky.leak(1, 1_000_000);
      process.send(process.pid, () => process.kill(process.pid, 'SIGKILL'));
    } else {
      cluster.fork().on('message', (pid) => console.log(pid)).on('exit', (code, signal) => console.log(signal));
    }
  `;
  const prefix = tempPrefix(t);
  const file = `${dirname(prefix)}/leaking.cjs`;
  writeFileSync(file, code);
  const run = await runProfiled(t, [process.execPath, file], { prefix, flags: byGrowth });
  const [pid, signal] = run.result.stdout.trimEnd().split('\n');
  t.equal(signal, 'SIGKILL');
  const { inuseSpace = 0 } = (await leaksOf(t, prefix)).get(Number(pid)) ?? {};
  t.ok(inuseSpace >= 40_000_000 - INTERVAL && inuseSpace <= 40_000_000, `${inuseSpace} bytes of 40 MB`);
  t.match(manifestOf(prefix, Number(pid)), { kind: 'cluster-worker', exit: null });
});

/** A cgroup that may hold so many bytes; undefined where none can be made. */
function memoryCgroup(t: Test, bytes: number): string | undefined {
  const v1 = '/sys/fs/cgroup/memory';
  const [parent, limit] = existsSync(v1) ? [v1, 'memory.limit_in_bytes'] : ['/sys/fs/cgroup', 'memory.max'];
  const group = `${parent}/forkheap-test-${process.pid}`;
  try {
    mkdirSync(group);
    t.teardown(() => rmdirSync(group));
    writeFileSync(`${group}/${limit}`, String(bytes));
    return group;
  } catch {
    return undefined;
  }
}

t.test("the kernel's out-of-memory killer", async (t) => {
  const group = memoryCgroup(t, 250 << 20);
  // Where we may make no cgroup, the program sends itself what the killer sends.
  t.comment(group ?? 'no cgroup can be made here: SIGKILL stands for it');
  const step = 1 << 20;
  const code = `
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    const { writeSync } = require('node:fs');
    console.log(process.pid);
    for (let i = 1; i <= 1000; i++) {
      if (i === 200 && ${group === undefined}) process.kill(process.pid, 'SIGKILL');
      leaky.leak(${step >> 12}, 4096);
      writeSync(1, i + '\\n');
    }
  `;
  const inGroup = ['sh', '-c', `${group === undefined ? 'true' : `echo $$ > ${group}/cgroup.procs`}; exec "$@"`, 'sh'];
  const run = await runProfiled(t, [...inGroup, ...script(code)], { status: 137, flags: byGrowth });
  const lines = run.result.stdout.trimEnd().split('\n').map(Number);
  const [pid = 0, leaked = 0] = [lines[0], (lines.at(-1) ?? 0) * step];
  t.ok(leaked > 3 * INTERVAL, `killed after ${leaked} bytes`);
  const { inuseSpace = 0 } = (await leaksOf(t, run.prefix)).get(pid) ?? {};
  t.ok(inuseSpace >= leaked - 2 * INTERVAL && inuseSpace <= leaked + step, `${inuseSpace} bytes of ${leaked}`);
  t.equal(manifestOf(run.prefix, pid).exit, null);
});

function contains(file: string, pattern: RegExp): boolean {
  try {
    return pattern.test(readFileSync(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
