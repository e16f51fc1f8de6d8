import type { NativeStartOptions } from '../native.js';
import { findPreload, findTcmalloc, preloadablePath, registerScript, requireSupportedPlatform } from './libraries.js';
import { type HeapProfileOptions, nativeOptions } from './options.js';

/** An environment as child_process takes it. */
export type Environment = Record<string, string | undefined>;

/** Options of {@link heapProfileEnv}: those of a profile, and whether it starts by itself. */
export interface HeapProfileEnvOptions extends Omit<HeapProfileOptions, 'children'> {
  /** Which of the child's own children are profiled too. A function cannot be handed to another process. Default `all`. */
  children?: 'all' | 'none';
  /** False: the child only gets ready, and starts when it calls `startHeapProfile()`. Default true. */
  autoStart?: boolean;
}

/** The variables that only forkheap reads. */
const variables = [
  'FORKHEAP_PREFIX',
  'FORKHEAP_MODE',
  'FORKHEAP_SAMPLE_INTERVAL',
  'FORKHEAP_CHILDREN',
  'FORKHEAP_AUTOSTART',
  'FORKHEAP_DUMP_ALLOCATED',
  'FORKHEAP_DUMP_INUSE',
  'FORKHEAP_DUMP_EVERY_MS',
  'FORKHEAP_DUMP_SIGNAL',
  'FORKHEAP_ROLLING',
  'FORKHEAP_MAX_DUMPS',
  'FORKHEAP_MAX_BYTES',
  'FORKHEAP_INCLUDE',
  'FORKHEAP_EXCLUDE',
  'FORKHEAP_PARENT',
] as const;

/** A NODE_OPTIONS word: quoted when it holds spaces or quotes, as Node's own parser wants it. */
function quote(word: string): string {
  return /[\s"\\]/.test(word) ? `"${word.replace(/(["\\])/g, '\\$1')}"` : word;
}

function preloadList(): string {
  return `${preloadablePath(findPreload())}:${preloadablePath(findTcmalloc())}`;
}

function requireOption(): string {
  return `--require=${quote(registerScript())}`;
}

/** `ours` in front of `theirs`, unless it stands there already. */
function prepend(ours: string, theirs: string | undefined, separator: string): string {
  if (theirs === undefined || theirs === '') return ours;
  if (theirs === ours || theirs.startsWith(ours + separator)) return theirs;
  return ours + separator + theirs;
}

/** The reverse of {@link prepend}; undefined when nothing is left. */
function remove(ours: string, value: string | undefined, separator: string): string | undefined {
  if (value === undefined || value === ours) return undefined;
  return value.startsWith(ours + separator) ? value.slice(ours.length + separator.length) : value;
}

/** What the environment of a profiled process has beside that of any other, from checked options. */
export function profileVariables(options: NativeStartOptions, follow: boolean, autoStart: boolean): Environment {
  const number = (value: number): string | undefined => (value === 0 ? undefined : String(value));
  return {
    FORKHEAP_PREFIX: options.prefix,
    FORKHEAP_MODE: options.sampled ? 'sampled' : 'exact',
    FORKHEAP_SAMPLE_INTERVAL: options.sampled ? String(options.sampleInterval) : undefined,
    FORKHEAP_CHILDREN: follow ? undefined : 'none',
    FORKHEAP_AUTOSTART: autoStart ? undefined : '0',
    FORKHEAP_DUMP_ALLOCATED: number(options.dumpAllocated),
    FORKHEAP_DUMP_INUSE: number(options.dumpInuse),
    FORKHEAP_DUMP_EVERY_MS: number(options.dumpEveryMs),
    FORKHEAP_DUMP_SIGNAL: number(options.dumpSignal),
    FORKHEAP_ROLLING: options.rolling ? '1' : undefined,
    FORKHEAP_MAX_DUMPS: number(options.maxDumps),
    FORKHEAP_MAX_BYTES: number(options.maxBytes),
  };
}

/** Adds `added` and the two preloads to `env`, keeping what LD_PRELOAD and NODE_OPTIONS hold. HEAPPROFILE goes: see docs/limits.md. */
export function withProfile(env: Environment, added: Environment): Environment {
  const result: Environment = { ...env };
  for (const [name, value] of Object.entries(added)) {
    if (value === undefined) delete result[name];
    else result[name] = value;
  }
  delete result.HEAPPROFILE;
  result.LD_PRELOAD = prepend(preloadList(), env.LD_PRELOAD, ':');
  result.NODE_OPTIONS = prepend(requireOption(), env.NODE_OPTIONS, ' ');
  return result;
}

/** `env` as it would be without forkheap. */
export function withoutProfile(env: Environment): Environment {
  const result: Environment = { ...env };
  for (const name of variables) delete result[name];
  for (const [name, ours, separator] of [
    ['LD_PRELOAD', preloadList(), ':'],
    ['NODE_OPTIONS', requireOption(), ' '],
  ] as const) {
    const rest = remove(ours, env[name], separator);
    if (rest === undefined) delete result[name];
    else result[name] = rest;
  }
  return result;
}

/** The variables of `env` that make its processes profiled ones; empty when it has none. */
export function profileVariablesOf(env: Environment): Environment {
  const found: Environment = {};
  if (env.FORKHEAP_PREFIX === undefined) return found;
  for (const name of variables) if (env[name] !== undefined) found[name] = env[name];
  return found;
}

/**
 * The environment that makes one chosen child a profiled process, whatever this process is:
 *
 * ```js
 * fork('worker.js', { env: heapProfileEnv({ prefix: '/tmp/profiles/worker' }) })
 * ```
 *
 * @param options what to capture in the child
 * @param env the environment to extend; `process.env` by default. It is not changed.
 * @returns a copy of `env` with LD_PRELOAD and NODE_OPTIONS extended and forkheap's own variables set
 * @throws {ForkheapError} ERR_FORKHEAP_INVALID_ARGUMENT, ERR_FORKHEAP_INVALID_PREFIX, ERR_FORKHEAP_NO_TCMALLOC,
 *   ERR_FORKHEAP_NOT_BUILT, ERR_FORKHEAP_UNSUPPORTED_PLATFORM
 * @since 0.1.0
 */
export function heapProfileEnv(options: HeapProfileEnvOptions = {}, env: Environment = process.env): Environment {
  requireSupportedPlatform();
  const checked = nativeOptions(options);
  return withProfile(env, profileVariables(checked, options.children !== 'none', options.autoStart !== false));
}
