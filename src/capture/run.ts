import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Environment } from './environment.js';

/** Signals that are passed on to the program. */
const passedOn = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const;

/** Those that a terminal sends to the whole foreground group: the program has them already. */
const fromTerminal = new Set<NodeJS.Signals>(['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGCONT']);

/** How a program ended. */
export interface Ending {
  pid: number;
  /** What a shell would report: the program's status, or 128 + signal. */
  status: number;
  signal: NodeJS.Signals | null;
}

/**
 * Runs a program with our stdin, stdout and stderr and waits for it, passing signals on.
 *
 * @param stdout the descriptor that is its stdout
 */
export async function runProgram(file: string, argv: readonly string[], env: Environment, stdout = 1): Promise<Ending> {
  const [argv0 = file, ...args] = argv;
  const child: ChildProcess = spawn(file, args, { stdio: [0, stdout, 2], env, argv0 });
  const handlers = passedOn.map((signal) => {
    const handler = (): void => {
      if (!(fromTerminal.has(signal) && process.stdin.isTTY)) child.kill(signal);
    };
    process.on(signal, handler);
    return [signal, handler] as const;
  });
  try {
    return await new Promise<Ending>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        const status = signal === null ? (code ?? 0) : 128 + constants.signals[signal];
        resolve({ pid: child.pid ?? 0, status, signal });
      });
    });
  } finally {
    for (const [signal, handler] of handlers) process.removeListener(signal, handler);
  }
}
