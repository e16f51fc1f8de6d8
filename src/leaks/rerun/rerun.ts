import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { heapProfileEnv } from '../../capture/environment.js';
import { ForkheapError } from '../../errors.js';
import type { NativeLeakVerdict } from '../growth/verdict.js';
import { rerunOf } from './runner.js';

/** In a process that another one runs for its checks: the folder for the verdicts. */
const VARIABLE = 'FORKHEAP_CHECK_RESULTS';

/** Whether this process was started for another's checks: then it must never start a further one. */
export function isRerun(): boolean {
  return process.env[VARIABLE] !== undefined;
}

const counts = new Map<string, number>();

/** What a check is called in every process that runs its file: where it stands, and how many there were before it. */
export function checkKey(place: string, name: string): string {
  const base = `${place}\0${name}`;
  const count = (counts.get(base) ?? 0) + 1;
  counts.set(base, count);
  return `${base}\0${count}`;
}

function fileName(key: string): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`;
}

/** Hands a verdict to the process that waits for it. */
export function report(key: string, verdict: NativeLeakVerdict): void {
  const folder = process.env[VARIABLE];
  if (folder === undefined) return;
  const file = join(folder, fileName(key));
  writeFileSync(`${file}.tmp`, JSON.stringify(verdict), { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}

/** What came of a run: verdicts by file name, and how it ended. */
interface Ended {
  readonly verdicts: ReadonlyMap<string, NativeLeakVerdict>;
  readonly ending: string;
  readonly output: string;
}

/** Runs a test file in a process that can be profiled. */
function run(file: string, timeout: number): Promise<Ended> {
  const { args, cwd, drop } = rerunOf(file, process.env);
  const folder = mkdtempSync(join(tmpdir(), 'forkheap-check-'));
  const env = heapProfileEnv({ autoStart: false }, { ...process.env, [VARIABLE]: folder });
  for (const name of drop) delete env[name];
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output = (output + chunk).slice(-8000);
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeout);
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const end = (ending: string): Ended => {
    clearTimeout(timer);
    process.removeListener('exit', kill);
    const verdicts = new Map<string, NativeLeakVerdict>();
    for (const name of readdirSync(folder).filter((entry) => /^[0-9a-f]{32}\.json$/.test(entry))) {
      verdicts.set(name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as NativeLeakVerdict);
    }
    rmSync(folder, { recursive: true, force: true });
    return { verdicts, ending: late ? `was stopped after ${timeout} ms` : ending, output };
  };
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(end(`could not be started (${error.message})`)));
    child.on('close', (code, signal) => resolve(end(`ended with ${signal ?? `status ${code}`}`)));
  });
}

const runs = new Map<string, Promise<Ended>>();

/**
 * The verdict of this check from a run of its test file in a process that can be profiled. One run answers all checks of the
 * file.
 *
 * @throws {ForkheapError} ERR_FORKHEAP_NOT_PRELOADED when there is no way to run the file; ERR_FORKHEAP_RERUN_FAILED when the run
 *   did not get to this check
 */
export async function verdictOfRerun(file: string, key: string, timeout: number): Promise<NativeLeakVerdict> {
  let running = runs.get(file);
  if (running === undefined) {
    running = run(file, timeout);
    runs.set(file, running);
  }
  const { verdicts, ending, output } = await running;
  const verdict = verdicts.get(fileName(key));
  if (verdict !== undefined) return { ...verdict, rerun: true };
  throw new ForkheapError(
    'ERR_FORKHEAP_RERUN_FAILED',
    `this process was not started with forkheap, so ${file === '' ? 'the program' : file} was run again in one that was; that run ${ending} and did not finish this check. ` +
      'Start the tests with `forkheap run -- COMMAND` to see why. The end of its output:\n' +
      output.trimEnd().split('\n').slice(-30).join('\n'),
  );
}
