import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

/** The project's folder, without a slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface ProcessResult {
  /** Exit status; null when a signal ended the process. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface ProcessOptions {
  cwd?: string;
  /** Added to the environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  /** Given to stdin; without it, stdin is /dev/null. */
  input?: string;
}

export interface RunningProcess {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  /** The first line of stdout that matches; rejects when the process ends without one. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  result: Promise<ProcessResult>;
}

/**
 * tap asks every process below a test to load a module of its own (NODE_OPTIONS, _TAPJS_…), at the moment of the spawn.
 * A profiled program must not see that, so env(1), which becomes the program, takes it away.
 */
function withoutTap(env: ProcessOptions['env'], command: string[]): [string, string[]] {
  const given = env ?? {};
  const ours = /^(NODE_OPTIONS$|_?TAP|FORKHEAP_|LD_PRELOAD$|NODE_V8_COVERAGE$)/;
  const tapNames = ['PROCESSINFO_ROOT', 'PROCESSINFO_PARENT'].map((name) => `_TAPJS_${name}_`);
  const unset = new Set([...Object.keys(process.env).filter((name) => ours.test(name)), ...tapNames, 'NODE_OPTIONS']);
  for (const [name, value] of Object.entries(given)) if (value === undefined) unset.add(name);
  const set = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
  return ['/usr/bin/env', [...[...unset].flatMap((name) => ['-u', name]), ...set, ...command]];
}

/** Starts a command in a process group of its own; what is left of the group is killed when the test ends. */
export function startProcess(t: Test, command: string[], options: ProcessOptions = {}): RunningProcess {
  const [program, args] = withoutTap(options.env, command);
  const child = spawn(program, args, { cwd: options.cwd ?? root, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${command.join(' ')}`);
  t.teardown(() => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // all have ended
    }
  });
  child.stdin.on('error', () => {}); // the program may end without reading it
  child.stdin.end(options.input ?? '');

  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const result = Promise.all([closed, output]).then(([[code, signal], [stdout, stderr]]) => ({
    code,
    signal,
    stdout,
    stderr,
  }));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));

  return {
    pid,
    result,
    kill: (signal) => void child.kill(signal),
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (line: string): void => {
          const match = pattern.exec(line);
          if (match !== null) resolve(match);
        };
        for (const line of lines) look(line);
        reader.on('line', look);
        result.then(
          ({ code, signal, stderr }) => reject(new Error(`ended (${signal ?? code}) without ${pattern}: ${stderr}`)),
          reject,
        );
      }),
  };
}

/** Runs a command to its end. */
export function runProcess(t: Test, command: string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  return startProcess(t, command, options).result;
}
