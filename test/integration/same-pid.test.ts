// Containers that share a folder: their processes have the same pids. Nothing is ever written over.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { heapProfileEnv } from 'forkheap';
import t, { type Test } from 'tap';
import { tempPrefix } from '../helpers/fixtures.js';
import { script } from '../helpers/preloaded.js';
import { type RunningProcess, startProcess } from '../helpers/process.js';
import { filesIn, leaksOf } from '../helpers/profiles.js';

t.setTimeout(300_000);

/** Starts a script as process 1 of a pid namespace of its own. */
function startContainer(t: Test, prefix: string, code: string): RunningProcess {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const command = ['unshare', ...user, '--pid', '--fork', '--kill-child', ...script(code)];
  return startProcess(t, command, { env: heapProfileEnv({ prefix, maxDumps: 3 }, {}) });
}

const leak = (blocks: number): string => `
  const { leaky } = require('./test/fixtures/programs/leaky.cjs');
  leaky.leak(${blocks}, 1000);
  console.log(process.pid);
`;

/** The names without ending of all processes with files, which are all of pid 1. */
function bases(prefix: string): string[] {
  const names = filesIn(dirname(prefix)).filter((name) => name.endsWith('.json'));
  for (const name of names) {
    if (!/^profile_1(-\d+)?\.json$/.test(name)) throw new Error(`a file of another process: ${name}`);
  }
  return names.map((name) => join(dirname(prefix), basename(name, '.json')));
}

t.test('processes with one pid, at the same time', async (t) => {
  const prefix = tempPrefix(t);
  const counts = [11, 12, 13, 14];
  const results = await Promise.all(counts.map((blocks) => startContainer(t, prefix, leak(blocks)).result));
  for (const { code, stdout, stderr } of results) t.same([code, stdout, stderr], [0, '1\n', '']);
  t.equal(bases(prefix).length, counts.length);
  const found = await Promise.all(bases(prefix).map((base) => leaksOf(t, `${base}.0001.heap`)));
  t.same(found.map((leaks) => leaks.get(1)?.inuseObjects).sort(), counts);
});

t.test('processes with one pid that are killed while they write, one after the other', async (t) => {
  const prefix = tempPrefix(t);
  const left = new Map<string, string>();
  for (let turn = 1; turn <= 5; turn++) {
    const code = `${leak(turn)}
      const { heapProfilerDump } = require('forkheap');
      for (let dumps = 1; ; dumps++) {
        heapProfilerDump('once more');
        require('node:fs').writeSync(1, 'dump ' + dumps + '\\n');
      }
    `;
    const running = startContainer(t, prefix, code);
    await running.line(new RegExp(`^dump ${3 + turn}$`));
    running.kill('SIGKILL');
    await running.result;
    t.equal(bases(prefix).length, turn, 'a name of its own');
    for (const [file, text] of left) t.equal(readFileSync(file, 'utf8'), text, `${basename(file)} is as it was`);
    for (const name of readdirSync(dirname(prefix)).filter((name) => /\.(heap|json)$/.test(name))) {
      const file = join(dirname(prefix), name);
      const text = readFileSync(file, 'utf8');
      if (name.endsWith('.heap')) t.match(text, /^heap profile: [\s\S]*\nMAPPED_LIBRARIES:\n[\s\S]*\n$/, 'whole');
      else t.equal(JSON.parse(text).pid, 1);
      left.set(file, text);
    }
  }
});
