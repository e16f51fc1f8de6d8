import childProcess, { ChildProcess } from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';
import { type Environment, profileVariablesOf, withoutProfile, withProfile } from './environment.js';
import type { ChildFilter } from './options.js';

/** What this process does about the environment of its children. */
interface Following {
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
const holder = globalThis as { [marker]?: { following: Following } };

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
  const following = holder[marker]?.following;
  if (following === undefined) return env;
  if (!following.wants(command)) return withoutProfile(env);
  // heapProfileEnv() has chosen for this child already, or the environment was inherited whole.
  const own = profileVariablesOf(env);
  if (own.FORKHEAP_PREFIX !== undefined || env.FORKHEAP_DISABLE === '1') return env;
  return withProfile(env, following.variables);
}

/** Children started without waiting: spawn, fork, exec, execFile and cluster all end in ChildProcess.prototype.spawn. */
function patchSpawn(): void {
  const prototype = ChildProcess.prototype as unknown as { spawn: (request: SpawnRequest) => unknown };
  const original = prototype.spawn;
  prototype.spawn = function spawn(this: unknown, request: SpawnRequest): unknown {
    if (Array.isArray(request?.envPairs)) {
      const command = request.args ?? [request.file];
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
    const changed = { ...options, env };
    const others = at < 0 ? args.filter((arg) => arg !== undefined && arg !== null) : args.filter((_, i) => i !== at);
    return original.call(this, ...others, changed);
  };
}

/**
 * From now on the children of this thread are followed as `children` says, also those that get an environment of their own.
 * Calling it again changes the rule.
 */
export function followChildren(variables: Environment, children: 'all' | 'none' | ChildFilter): void {
  const wants: ChildFilter = typeof children === 'function' ? children : () => children === 'all';
  const present = holder[marker];
  if (present !== undefined) {
    present.following = { variables, wants };
    return;
  }
  holder[marker] = { following: { variables, wants } };
  patchSpawn();
  for (const name of ['spawnSync', 'execFileSync', 'execSync'] as const) patchSync(name);
  syncBuiltinESMExports();
}
