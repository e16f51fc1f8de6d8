// The example service with four workers: the package that leaks comes first, and its stack leads to the line that calls it.
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import t, { type Test } from 'tap';
import { readProfile } from '../../src/files/profile.js';
import { resolveStack, sampleOwner } from '../../src/symbolize/resolve.js';
import { symbolize } from '../../src/symbolize/symbolize.js';
import { readTop } from '../helpers/forkheap.js';
import { root, runProcess } from '../helpers/process.js';
import { startProfiled } from '../helpers/profiles.js';

const example = join(root, 'examples/level-service');
const REQUESTS = 16;
const CALLS = 400;
const LOST_PER_CALL = 20 * 200;

/** A copy of the example that shares its packages. */
function copyExample(folder: string): string {
  cpSync(example, folder, { recursive: true, filter: (source) => !source.endsWith('node_modules') });
  symlinkSync(join(example, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Runs the service under forkheap, with requests for `CALLS` calls each. Returns the profiles' prefix. */
async function profile(t: Test, service: string, data: string): Promise<string> {
  const command = [process.execPath, join(service, 'server.js'), `--data=${join(data, 'data')}`];
  const running = startProfiled(t, command, { prefix: join(data, 'profiles') });
  const port = (await running.line(/^listening on (\d+)$/))[1];
  const load = [`--port=${port}`, `--requests=${REQUESTS}`, `--calls=${CALLS}`, `--json=${join(data, 'load.json')}`];
  const { code, stderr } = await runProcess(t, [process.execPath, join(example, 'load.js'), ...load]);
  t.equal(code, 0, stderr);
  running.kill('SIGTERM');
  t.match(await running.result, { code: 0 });
  return running.prefix;
}

/** Checks that leveldown holds what the calls have lost, and that its stacks lead to `line` of `file`. */
async function check(t: Test, prefix: string, name: string, file: string, line: number): Promise<void> {
  const { rows, processes } = await readTop(t, '--by', 'package', prefix);
  t.equal(processes.length, 5, 'the service and its workers');
  t.equal(rows[0]?.name, 'leveldown');
  const lost = REQUESTS * CALLS * LOST_PER_CALL;
  t.ok((rows[0]?.self.inuseSpace ?? 0) >= lost, `${rows[0]?.self.inuseSpace} bytes of ${lost} at least`);
  t.equal(rows[0]?.pids.length, 4, 'in each worker');

  const whole = readProfile(prefix);
  await symbolize(whole);
  let bytes = 0;
  for (const sample of whole.samples) {
    const frames = [...resolveStack(sample)];
    const leaks = sampleOwner(sample) === 'leveldown' && frames.some((frame) => frame.name.startsWith('db_get_many'));
    const caller = frames.find((frame) => frame.name === name && frame.file === file);
    if (!leaks || caller === undefined) continue;
    t.equal(caller.line, line, `${name} calls in line ${line}`);
    bytes += sample.inuseSpace;
  }
  t.ok(bytes >= lost, `${bytes} bytes are below ${name} at ${file}:${line}`);
}

const lineOf = (file: string, text: string): number =>
  readFileSync(file, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text)) + 1;

t.test('in JavaScript', async (t) => {
  const worker = join(example, 'worker.js');
  await check(t, await profile(t, example, t.testdir({})), 'answer', worker, lineOf(worker, 'await getMany(keys)'));
});

t.test('in TypeScript, compiled to one line with a source map', async (t) => {
  const folder = t.testdir({});
  const service = copyExample(join(folder, 'service'));
  const source = join(root, 'test/fixtures/typescript/worker.ts');
  const written = join(service, 'worker.ts');
  cpSync(source, written);
  const options = {
    loader: 'ts',
    format: 'esm',
    sourcefile: 'worker.ts',
    sourcemap: true,
    minifyWhitespace: true,
  } as const;
  const { code, map } = transformSync(readFileSync(source, 'utf8'), { ...options, target: 'node20' });
  writeFileSync(join(service, 'worker.js'), `${code}//# sourceMappingURL=worker.js.map\n`);
  writeFileSync(join(service, 'worker.js.map'), map);
  t.ok(code.split('\n').length < 5, 'lines are not those of the source');
  await check(t, await profile(t, service, folder), 'read', written, lineOf(source, '// the call that leaks'));
});
