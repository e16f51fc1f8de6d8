import childProcess, { ChildProcess } from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import { type Environment, withProfile } from './environment.js';
import type { ChildFilter } from './options.js';

/** What this thread does about its children. */
interface Choice {
  /** The variables that make a child a profiled one. */
  variables: Environment;
  wants: ChildFilter;
}

interface SpawnRequest {
  file: string;
  args?: string[];
  envPairs?: string[];
}

const marker = Symbol.for('forkheap.children');
// One per thread, shared between the two builds of this package.
const holder = globalThis as { [marker]?: { choice: Choice | undefined } };

function toEnvironment(pairs: readonly string[]): Environment {
  const env: Environment = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=', 1);
    if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return env;
}

function toPairs(env: Environment): string[] {
  return Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

/** The environment that a child with this command line gets in the place of `env`. */
function childEnvironment(command: readonly string[], env: Environment): Environment {
  const choice = holder[marker]?.choice;
  // heapProfileEnv() has chosen for this child already.
  if (choice === undefined || env.FORKHEAP_PREFIX !== undefined || !choice.wants(command)) return env;
  return withProfile(env, choice.variables);
}

/** Children started without waiting: spawn, fork, exec, execFile and cluster all end in ChildProcess.prototype.spawn. */
function patchSpawn(): void {
  const prototype = ChildProcess.prototype as unknown as { spawn: (request: SpawnRequest) => unknown };
  const original = prototype.spawn;
  prototype.spawn = function spawn(this: unknown, request: SpawnRequest): unknown {
    if (Array.isArray(request?.envPairs)) {
      const command = [request.file, ...(request.args ?? []).slice(1)];
      request.envPairs = toPairs(childEnvironment(command, toEnvironment(request.envPairs)));
    }
    return original.call(this, request);
  };
}

type Options = { env?: Environment } & Record<string, unknown>;

/** The synchronous ones take the environment in their options. */
function patchSync(name: 'spawnSync' | 'execFileSync' | 'execSync'): void {
  const target = childProcess as unknown as Record<string, (...args: unknown[]) => unknown>;
  const original = target[name];
  if (original === undefined) return;
  target[name] = function patched(this: unknown, ...args: unknown[]): unknown {
    const list = Array.isArray(args[1]) ? (args[1] as unknown[]) : [];
    const at = args.findIndex((arg, i) => i > 0 && typeof arg === 'object' && arg !== null && !Array.isArray(arg));
    const options: Options = at < 0 ? {} : (args[at] as Options);
    const env = childEnvironment([args[0], ...list].map(String), { ...(options.env ?? process.env) });
    const others = args.filter((arg, i) => i !== at && arg !== undefined && arg !== null);
    return original.call(this, ...others, { ...options, env });
  };
}

/** From now on the children of this thread that `wants` chooses get `variables`; undefined: none. */
export function chooseChildren(variables: Environment, wants: ChildFilter | undefined): void {
  const choice = wants === undefined ? undefined : { variables, wants };
  const present = holder[marker];
  if (present !== undefined) {
    present.choice = choice;
    return;
  }
  if (choice === undefined) return;
  holder[marker] = { choice };
  patchSpawn();
  for (const name of ['spawnSync', 'execFileSync', 'execSync'] as const) patchSync(name);
  syncBuiltinESMExports();
}
