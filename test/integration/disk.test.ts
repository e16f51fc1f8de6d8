// The disk gives out while a tree of processes runs: the program goes on, one line per process says so, what was written
// stays whole, and dumps go on when they can.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { script } from '../helpers/preloaded.js';
import { runProcess } from '../helpers/process.js';
import { filesIn, leaksOf, manifestOf, runProfiled, startProfiled, watchFor } from '../helpers/profiles.js';

t.setTimeout(300_000);

/** A tree of two, whose processes leak one block and ask for a dump by their own signal when they are told "dump", and end at "end". */
const tree = `
  const { fork } = require('node:child_process');
  const { leaky } = require('./test/fixtures/programs/leaky.cjs');
  const { heapProfilerDump } = require('forkheap');
  const act = (word) => {
    if (word === 'end') process.exitCode = 5;
    else leaky.leak(10, 1000);
  };
  if (process.argv[2] === 'child') {
    process.on('message', (word) => {
      act(word);
      if (word === 'end') process.disconnect();
      else process.send(process.pid);
    });
    process.send(process.pid);
  } else {
    const child = fork(__filename, ['child']);
    child.on('message', (pid) => console.log('did ' + process.pid + ' ' + pid));
    process.on('SIGUSR1', () => { act('leak'); child.send('leak'); });
    process.on('SIGHUP', () => { act('end'); child.send('end'); clearInterval(timer); process.removeAllListeners('SIGUSR1') });
    const timer = setInterval(() => {}, 1e6);
  }
`.replaceAll('./test/', `${process.cwd()}/test/`);

/** "forkheap[PID]: cannot write …", by pid. */
function complaints(stderr: string): Map<number, number> {
  const counts = new Map<number, number>();
  for (const line of stderr.split('\n').filter((line) => line !== '')) {
    const pid = Number(/^forkheap\[(\d+)\]: cannot write .*\[ERR_FORKHEAP_DUMP_FAILED\]$/.exec(line)?.[1] ?? 0);
    counts.set(pid, (counts.get(pid) ?? 0) + 1);
  }
  return counts;
}

function isWhole(t: Test, file: string): void {
  const text = readFileSync(file, 'utf8');
  t.match(text, /^heap profile: /);
  t.match(text, /\nMAPPED_LIBRARIES:\n/);
}

const kept = ['--dump-every', '20ms', '--keep'];
const rolling = ['--dump-every', '20ms'];

for (const [what, flags] of Object.entries({ 'dumps are kept': kept, 'dumps replace each other': rolling })) {
  t.test(`the folder is away for a while, ${what}`, async (t) => {
    const top = t.testdir({ profiles: {}, 'tree.cjs': tree });
    const folder = join(top, 'profiles');
    const prefix = join(folder, 'profile');
    const running = startProfiled(t, [process.execPath, join(top, 'tree.cjs')], { prefix, flags });
    const [, root = 0, child = 0] = (await running.line(/^did (\d+) (\d+)$/)).map(Number);
    const firstOf = (pid: number): string => `${prefix}_${pid}.0001.heap`;
    await watchFor(folder, () => ([root, child].every((pid) => existsSync(firstOf(pid))) ? true : undefined));

    const away = join(top, 'away');
    renameSync(folder, away);
    // Both processes try and fail: the program goes on and ends as it wants to when it has tried again.
    process.kill(root, 'SIGUSR1');
    await running.line(/^did \d+ \d+$/);
    await noDumpBelow(t, top, away);
    renameSync(away, folder);
    const leaked = / 10: +10000 /;
    await watchFor(folder, () =>
      [root, child].every((pid) => dumpsOf(folder, pid).some((file) => leaked.test(readFileSync(file, 'utf8'))))
        ? true
        : undefined,
    );
    process.kill(root, 'SIGHUP');
    const { code, stderr } = await running.result;
    t.equal(code, 5, 'the program has its own status');
    t.same([...complaints(stderr)].sort(), [root, child].map((pid) => [pid, 1]).sort(), 'one line per process');
    for (const pid of [root, child]) {
      for (const file of dumpsOf(folder, pid)) isWhole(t, file);
      t.match(manifestOf(prefix, pid), { exit: { code: 5, signal: null } });
    }
    t.same(
      filesIn(folder).filter((name) => name.endsWith('.tmp')),
      [],
      'nothing half-written is left',
    );
    for (const pid of [root, child]) t.equal((await leaksOf(t, prefix)).get(pid)?.inuseObjects, 10);
  });
}
