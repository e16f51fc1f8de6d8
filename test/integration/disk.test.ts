// The disk gives out while a tree of processes runs: the program goes on, one line per process says so, what was written
// stays whole, and dumps go on when they can.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { forkheap } from '../helpers/forkheap.js';
import { root, startProcess } from '../helpers/process.js';
import { filesIn, leaksOf, manifestOf, watchFor } from '../helpers/profiles.js';

t.setTimeout(300_000);

/** A parent and its child, which leak ten blocks each at SIGUSR1 and end at SIGHUP. */
const tree = `
  const { fork } = require('node:child_process');
  const { leaky } = require('${root}/test/fixtures/programs/leaky.cjs');
  if (process.send) {
    process.on('message', () => {
      leaky.leak(10, 1000);
      process.send(process.pid);
    });
    process.on('disconnect', () => { process.exitCode = 5 });
    process.send(process.pid);
  } else {
    const child = fork(__filename);
    let turn = 0;
    child.on('message', (pid) => console.log('did', ++turn, process.pid, pid));
    process.on('SIGUSR1', () => {
      leaky.leak(10, 1000);
      child.send('leak');
    });
    process.on('SIGHUP', () => {
      child.on('exit', () => process.exit(5));
      child.disconnect();
    });
  }
`;

// Permissions do not bind root, unless it gives that right away. It stays root, for it may be alone in seeing this folder.
const bound =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-all'] : [];

interface Place {
  /** Holds the folder of the profiles. */
  top: string;
  folder: string;
  pids: number[];
}

/** How dumps are made impossible, and possible again. */
interface Trouble {
  begin(place: Place): void;
  end(place: Place): void;
  /** What was written before is gone with it. */
  loses?: true;
}

const limitFiles = (bytes: string, { pids }: Place): void => {
  for (const pid of pids) {
    const [program = '', ...args] = [...bound, 'prlimit', '--pid', String(pid), `--fsize=${bytes}:`];
    execFileSync(program, args);
  }
};

const troubles: Record<string, Trouble> = {
  'the folder is away for a while': {
    begin: ({ top, folder }) => renameSync(folder, join(top, 'away')),
    end: ({ top, folder }) => renameSync(join(top, 'away'), folder),
  },
  'the folder is deleted, and made again': {
    begin: ({ top, folder }) => {
      renameSync(folder, join(top, 'away'));
      rmSync(join(top, 'away'), { recursive: true });
    },
    end: ({ folder }) => {
      mkdirSync(folder);
    },
    loses: true,
  },
  'the folder cannot be written': {
    begin: ({ folder }) => chmodSync(folder, 0o555),
    end: ({ folder }) => chmodSync(folder, 0o755),
  },
  'there is no room for a whole dump': {
    begin: (place) => limitFiles('4096', place),
    end: (place) => limitFiles('unlimited', place),
  },
};

/** The dumps of a process, oldest first. */
function dumpsOf(folder: string, pid: number): string[] {
  const own = readdirSync(folder).filter((name) => name.startsWith(`profile_${pid}.`) && name.endsWith('.heap'));
  return own.sort().map((name) => join(folder, name));
}

/** A dump that may have been deleted or replaced since its name was read. */
function textOf(file: string | undefined): string {
  return file === undefined || !existsSync(file) ? '' : readFileSync(file, 'utf8');
}

const kinds = { 'dumps replace each other': [], 'all dumps are kept': ['--keep'] };
for (const [name, trouble] of Object.entries(troubles)) {
  for (const [kind, flags] of Object.entries(kinds)) {
    t.test(`${name}; ${kind}`, async (t) => {
      const top = t.testdir({ profiles: {}, 'tree.cjs': tree });
      const folder = join(top, 'profiles');
      const prefix = join(folder, 'profile');
      // stderr goes the way of stdout, whose lines can be waited for.
      const program = ['sh', '-c', 'exec "$0" "$1" 2>&1', process.execPath, join(top, 'tree.cjs')];
      const options = ['--quiet', '--prefix', prefix, '--dump-every', '20ms', ...flags];
      const running = startProcess(t, [...bound, ...forkheap('run', ...options, '--', ...program)]);
      const pids = (await running.line(/^did 1 (\d+) (\d+)$/)).slice(1).map(Number);
      const place = { top, folder, pids };
      const all = (look: (pid: number) => boolean): true | undefined => (pids.every(look) ? true : undefined);
      await watchFor(folder, () => all((pid) => dumpsOf(folder, pid).length > 0));

      trouble.begin(place);
      for (const pid of pids) await running.line(new RegExp(`^forkheap\\[${pid}\\]: cannot write `));
      process.kill(pids[0] as number, 'SIGUSR1');
      await running.line(/^did 2 /); // the service goes on
      trouble.end(place);
      await watchFor(folder, () => all((pid) => / 10: +10000 /.test(textOf(dumpsOf(folder, pid).at(-1)))));
      process.kill(pids[0] as number, 'SIGHUP');

      const { code, stdout, stderr } = await running.result;
      t.equal(code, 5, 'the program has its own status');
      t.equal(stderr, '');
      const said = stdout.split('\n').filter((line) => !/^(did .*)?$/.test(line));
      const wanted = (pid: number): RegExp =>
        new RegExp(`^forkheap\\[${pid}\\]: cannot write .* The program goes on; .* \\[ERR_FORKHEAP_DUMP_FAILED\\]$`);
      t.equal(said.length, 2, 'one line per process');
      for (const pid of pids) t.equal(said.filter((line) => wanted(pid).test(line)).length, 1, `of ${pid}`);

      t.same(
        filesIn(folder).filter((file) => file.endsWith('.tmp')),
        [],
        'nothing half-written is left',
      );
      const files = pids.flatMap((pid) => dumpsOf(folder, pid));
      for (const file of files) t.match(textOf(file), /^heap profile: [\s\S]*\nMAPPED_LIBRARIES:\n/, 'whole');
      const leaks = await leaksOf(t, prefix);
      for (const pid of pids) {
        t.match(leaks.get(pid), { inuseObjects: 10, inuseSpace: 10_000 });
        t.match(manifestOf(prefix, pid), { exit: { code: 5, signal: null } });
        const first = existsSync(`${prefix}_${pid}.0001.heap`);
        if (trouble.loses === undefined) t.equal(first, true, 'what was there before is still there');
      }
    });
  }
}
