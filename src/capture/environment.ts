import { ForkheapError } from '../errors.js';
import { requireSupportedPlatform } from '../platform.js';
import { findPreload, findTcmalloc, preloadablePath, registerScript, requireLeakChecker } from './libraries.js';
import { type CheckedOptions, type HeapProfileOptions, nativeOptions } from './options.js';

/** An environment as child_process takes it. */
export type Environment = Record<string, string | undefined>;

/** Options of {@link heapProfileEnv}: those of a profile, and whether it starts by itself. */
export interface HeapProfileEnvOptions extends Omit<HeapProfileOptions, 'children'> {
  /** Which of the child's own children are profiled too. A function cannot be handed to another process. Default `all`. */
  children?: 'all' | 'none';
  /** False: the child only gets ready, and starts when it calls `startHeapProfile()`. Default true. */
  autoStart?: boolean;
  /**
   * Instead of a profile: gperftools' leak checker watches the child. `local`: only where the child uses `HeapLeakChecker`; the
   * other modes also check the whole program at its end. Default none.
   */
  leakCheck?: LeakCheckMode;
}

/**
 * How much gperftools' leak checker looks at: `local` only what checkers in the program ask for; `minimal` all but what was
 * allocated before main(); `normal` all; `strict` all, after destructors; `draconian` whatever was not freed, reachable or
 * not; `as-is` as the HEAP_CHECK_* variables say.
 *
 * @since 0.1.0
 */
export type LeakCheckMode = (typeof LEAK_CHECK_MODES)[number];

export const LEAK_CHECK_MODES = ['local', 'minimal', 'normal', 'strict', 'draconian', 'as-is'] as const;

/** gperftools prints what it finds; forkheap has it from elsewhere. Errors that end the process are still printed. */
const QUIET = '-4';

/** The variables that only forkheap reads. */
const variables = [
  'FORKHEAP_PREFIX',
  'FORKHEAP_MODE',
  'FORKHEAP_SAMPLE_INTERVAL',
  'FORKHEAP_MAX_OVERHEAD',
  'FORKHEAP_CHILDREN',
  'FORKHEAP_AUTOSTART',
  'FORKHEAP_JAVASCRIPT',
  'FORKHEAP_DUMP_ALLOCATED',
  'FORKHEAP_DUMP_INUSE',
  'FORKHEAP_DUMP_EVERY_MS',
  'FORKHEAP_DUMP_SIGNAL',
  'FORKHEAP_ROLLING',
  'FORKHEAP_MAX_DUMPS',
  'FORKHEAP_MAX_BYTES',
  'FORKHEAP_MAX_TREE_DUMPS',
  'FORKHEAP_MAX_TREE_BYTES',
  'FORKHEAP_INCLUDE',
  'FORKHEAP_EXCLUDE',
  'FORKHEAP_CONTROL',
  'FORKHEAP_PARENT',
  'FORKHEAP_LD_PRELOAD',
  'FORKHEAP_NODE_OPTIONS',
] as const;

/** A NODE_OPTIONS word: quoted when it holds spaces or quotes, as Node's own parser wants it. */
function quote(word: string): string {
  return /[\s"\\]/.test(word) ? `"${word.replace(/(["\\])/g, '\\$1')}"` : word;
}

function preloadList(): string {
  return `${preloadablePath(findPreload())}:${preloadablePath(findTcmalloc())}`;
}

/** What Node is told. The second option gives each interpreted function an address of its own, by which it is known in stacks. */
function nodeOptions(javascript: boolean): string {
  return `--require=${quote(registerScript())}${javascript ? ' --interpreted-frames-native-stack' : ''}`;
}

/** `ours` in front of `theirs`. */
function prepend(ours: string, theirs: string | undefined, separator: string): string {
  return theirs === undefined || theirs === '' ? ours : ours + separator + theirs;
}

/** The reverse of {@link prepend}; undefined when nothing is left. */
function remove(ours: string, value: string | undefined, separator: string): string | undefined {
  if (value === undefined || value === ours) return undefined;
  return value.startsWith(ours + separator) ? value.slice(ours.length + separator.length) : value;
}

/** What the environment of a profiled process has beside that of any other, from checked options. */
export function profileVariables(options: CheckedOptions, follow: boolean, autoStart: boolean): Environment {
  const number = (value: number): string | undefined => (value === 0 ? undefined : String(value));
  return {
    FORKHEAP_PREFIX: options.prefix,
    FORKHEAP_CONTROL: options.control,
    FORKHEAP_MODE: options.sampled ? 'sampled' : 'exact',
    FORKHEAP_SAMPLE_INTERVAL: options.sampled || options.maxOverhead > 0 ? String(options.sampleInterval) : undefined,
    FORKHEAP_MAX_OVERHEAD: number(options.maxOverhead),
    FORKHEAP_CHILDREN: follow ? undefined : 'none',
    FORKHEAP_AUTOSTART: autoStart ? undefined : '0',
    FORKHEAP_JAVASCRIPT: options.javascript ? undefined : '0',
    FORKHEAP_DUMP_ALLOCATED: number(options.dumpAllocated),
    FORKHEAP_DUMP_INUSE: number(options.dumpInuse),
    FORKHEAP_DUMP_EVERY_MS: number(options.dumpEveryMs),
    FORKHEAP_DUMP_SIGNAL: number(options.dumpSignal),
    FORKHEAP_ROLLING: options.rolling ? '1' : undefined,
    FORKHEAP_MAX_DUMPS: number(options.maxDumps),
    FORKHEAP_MAX_BYTES: number(options.maxBytes),
    FORKHEAP_MAX_TREE_DUMPS: number(options.maxTreeDumps),
    FORKHEAP_MAX_TREE_BYTES: number(options.maxTreeBytes),
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
  if (added.FORKHEAP_MODE === 'check') result.PERFTOOLS_VERBOSE ??= QUIET;
  // Our part of the two lists, by which the preload library completes the environment of children.
  const preload = preloadList();
  const options = nodeOptions(added.FORKHEAP_JAVASCRIPT !== '0');
  const clean = withoutProfile(env);
  result.FORKHEAP_LD_PRELOAD = preload;
  result.FORKHEAP_NODE_OPTIONS = options;
  result.LD_PRELOAD = prepend(preload, clean.LD_PRELOAD, ':');
  result.NODE_OPTIONS = prepend(options, clean.NODE_OPTIONS, ' ');
  return result;
}

/** `env` as it would be without forkheap. */
export function withoutProfile(env: Environment): Environment {
  const result: Environment = { ...env };
  for (const name of variables) delete result[name];
  if (env.FORKHEAP_MODE === 'check') {
    delete result.HEAPCHECK;
    if (result.PERFTOOLS_VERBOSE === QUIET) delete result.PERFTOOLS_VERBOSE;
  }
  for (const [name, ours, separator] of [
    ['LD_PRELOAD', env.FORKHEAP_LD_PRELOAD, ':'],
    ['NODE_OPTIONS', env.FORKHEAP_NODE_OPTIONS, ' '],
  ] as const) {
    const rest = ours === undefined ? env[name] : remove(ours, env[name], separator);
    if (rest === undefined) delete result[name];
    else result[name] = rest;
  }
  return result;
}

function leakCheckEnvironment(
  env: Environment,
  checked: CheckedOptions,
  options: HeapProfileEnvOptions,
  mode: LeakCheckMode,
): Environment {
  if (!LEAK_CHECK_MODES.includes(mode)) {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_ARGUMENT',
      `leakCheck must be one of ${LEAK_CHECK_MODES.join(', ')}, got ${String(mode)}`,
    );
  }
  if (options.mode !== undefined || options.autoStart === false) {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_ARGUMENT',
      "leakCheck cannot go together with mode or autoStart: gperftools' leak checker starts with the process, and takes the place of its heap profiler",
    );
  }
  const dumps = (['dumpAllocated', 'dumpInuse', 'dumpEvery', 'dumpSignal'] as const).filter((name) => options[name]);
  if (dumps.length > 0) {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_ARGUMENT',
      `leakCheck cannot go together with ${dumps.join(', ')}: a leak check writes a report at the end, and no dumps`,
    );
  }
  requireLeakChecker();
  return withProfile(env, {
    FORKHEAP_PREFIX: checked.prefix,
    FORKHEAP_MODE: 'check',
    FORKHEAP_CHILDREN: options.children === 'none' ? 'none' : undefined,
    FORKHEAP_JAVASCRIPT: checked.javascript ? undefined : '0',
    FORKHEAP_CONTROL: undefined,
    HEAPCHECK: mode,
  });
}

/** Takes forkheap's part out of this process's own environment, and so out of that of its children. */
export function leaveEnvironment(): void {
  const clean = withoutProfile(process.env);
  for (const name of Object.keys(process.env)) {
    const value = clean[name];
    if (value === undefined) delete process.env[name];
    else if (process.env[name] !== value) process.env[name] = value;
  }
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
 *   ERR_FORKHEAP_NOT_BUILT, ERR_FORKHEAP_UNSUPPORTED_PLATFORM; with `leakCheck` also ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED
 * @since 0.1.0
 */
export function heapProfileEnv(options: HeapProfileEnvOptions = {}, env: Environment = process.env): Environment {
  requireSupportedPlatform();
  const { leakCheck, ...others } = options;
  const checked = nativeOptions(others);
  if (leakCheck !== undefined) return leakCheckEnvironment(env, checked, options, leakCheck);
  const clean = withoutProfile(env);
  if (clean.HEAPCHECK !== undefined && clean.HEAPCHECK !== '') {
    throw new ForkheapError(
      'ERR_FORKHEAP_INVALID_ARGUMENT',
      `HEAPCHECK=${clean.HEAPCHECK} is set: gperftools' leak checker and its heap profiler cannot watch one process together. Unset it, or use \`forkheap check\``,
    );
  }
  return withProfile(env, profileVariables(checked, options.children !== 'none', options.autoStart !== false));
}
