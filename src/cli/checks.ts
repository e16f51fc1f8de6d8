import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '#root';
import { findTcmalloc } from '../capture/libraries.js';
import { readElf } from '../elf.js';
import { ForkheapError } from '../errors.js';
import { howToRestore, nativeParts } from '../native-parts.js';
import { isSupportedNode, wantedNode } from '../node-version.js';
import { type Platform, platformObstacle, thisPlatform } from '../platform.js';
import { symbolizerPath } from '../symbolize/client.js';
import { type KernelSettings, kernelSettings } from './kernel.js';
import { addonObstacle, optionsObstacle, preloadObstacle, programObstacle } from './obstacles.js';
import { daemonWithoutForkheap } from './pm2.js';
import { type Trial, tryProfile } from './trial.js';

/** `warn`: profiling works, but not as well as it could. `fail`: it does not work. */
export type Level = 'ok' | 'warn' | 'fail';

/** One thing that `forkheap doctor` looked at. */
export interface Finding {
  name: string;
  level: Level;
  /** What was found. */
  message: string;
  /** What to do about it; empty when nothing. */
  advice: string;
}

/** What the checks look at, so that tests can show them another machine. */
export interface Surroundings {
  platform: Platform;
  /** Version of glibc; empty on another C library. */
  glibc: string;
  nodeVersion: string;
  env: NodeJS.ProcessEnv;
  execPath: string;
  /** The current folder. */
  folder: string;
  root: string;
  kernel: KernelSettings;
  /** Profiles a process, if nothing speaks against it. */
  tryProfile: (execPath: string, env: NodeJS.ProcessEnv) => Trial;
}

/** This machine and process. */
export function surroundings(): Surroundings {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return {
    platform: thisPlatform(),
    glibc: report.header?.glibcVersionRuntime ?? '',
    nodeVersion: process.versions.node,
    env: process.env,
    execPath: process.execPath,
    folder: process.cwd(),
    root: packageRoot,
    kernel: kernelSettings(),
    tryProfile,
  };
}

const finding = (name: string, level: Level, message: string, advice = ''): Finding => ({
  name,
  level,
  message,
  advice,
});

function checkPlatform({ platform, glibc }: Surroundings): Finding {
  const obstacle = platformObstacle(platform);
  if (obstacle === null) return finding('platform', 'ok', `linux x64, glibc ${glibc}`);
  const advice = 'Use Linux on x86-64 with glibc, for instance a Debian or Ubuntu container.';
  return finding('platform', 'fail', obstacle, advice);
}

function checkNode({ nodeVersion }: Surroundings): Finding {
  if (isSupportedNode(nodeVersion)) return finding('node', 'ok', `Node.js ${nodeVersion}`);
  return finding('node', 'fail', `Node.js ${nodeVersion}`, `Use Node.js ${wantedNode} or newer.`);
}

function checkTcmalloc(): Finding {
  try {
    return finding('gperftools', 'ok', findTcmalloc());
  } catch (error) {
    if (!(error instanceof ForkheapError)) throw error;
    return finding('gperftools', 'fail', 'libtcmalloc_and_profiler.so.4 not found', error.message);
  }
}

function checkBuilt(name: string, path: string, level: Level, without: string, mode = constants.R_OK): Finding {
  try {
    accessSync(path, mode);
    return finding(name, 'ok', path);
  } catch {
    const advice = existsSync(path)
      ? `Make ${path} readable and executable for you.`
      : `${without} To have it, ${howToRestore()}.`;
    return finding(name, level, `${path} ${existsSync(path) ? 'cannot be used' : 'is missing'}`, advice);
  }
}

function checkHeapprofile({ env }: Surroundings): Finding {
  if (!env.HEAPPROFILE) return finding('HEAPPROFILE', 'ok', 'not set');
  return finding(
    'HEAPPROFILE',
    'warn',
    `set to ${env.HEAPPROFILE}`,
    'forkheap does not use it and takes it out of the environment of what it profiles: Node.js damages its value, and ' +
      'gperftools then deletes files. Unset it; give the prefix with "forkheap run --prefix".',
  );
}

function checkPreload({ env }: Surroundings): Finding {
  const value = env.LD_PRELOAD ?? '';
  const obstacle = preloadObstacle(value);
  if (obstacle !== null) return finding('LD_PRELOAD', 'fail', obstacle.message, obstacle.advice);
  return finding('LD_PRELOAD', 'ok', value === '' ? 'not set' : value);
}

function checkNodeOptions({ env }: Surroundings): Finding {
  const value = env.NODE_OPTIONS ?? '';
  const obstacle = optionsObstacle(value.split(/\s+/));
  if (obstacle !== null) return finding('NODE_OPTIONS', 'fail', obstacle.message, obstacle.advice);
  const addon = addonObstacle(value.split(/\s+/));
  if (addon !== null) return finding('NODE_OPTIONS', 'warn', addon.message, addon.advice);
  return finding('NODE_OPTIONS', 'ok', value === '' ? 'not set' : value);
}

/** Whether the dynamic linker will preload what it is told to, and that serves malloc. */
function checkExecutable({ execPath }: Surroundings): Finding {
  if (!existsSync(execPath)) {
    return finding('executable', 'warn', `${execPath} cannot be looked at`, 'Check that it is not setuid.');
  }
  const obstacle = programObstacle(execPath);
  if (obstacle !== null) return finding('executable', 'fail', obstacle.message, obstacle.advice);
  const libnode = readElf(execPath)?.needed.find((name) => name.startsWith('libnode.so'));
  return finding('executable', 'ok', libnode === undefined ? execPath : `${execPath}, with ${libnode}`);
}

/** Where profiles go that are given no --prefix. */
function checkFolder({ folder }: Surroundings): Finding {
  try {
    accessSync(folder, constants.W_OK);
    return finding('folder', 'ok', folder);
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'EROFS' ? 'is on a read-only file system' : 'cannot be written';
    return finding('folder', 'warn', `${folder} ${why}`, 'Give "forkheap run" a --prefix in a folder that can be.');
  }
}

/** gperftools 2.17 took its leak checker out, and left functions that always answer "no leaks". */
const LEAK_CHECKER = '_ZN15HeapLeakChecker24BeforeConstructorsLockedEv';

function checkLeakChecker({ kernel }: Surroundings): Finding {
  const name = 'leak checker';
  let file: string;
  try {
    file = findTcmalloc();
  } catch (error) {
    if (!(error instanceof ForkheapError)) throw error;
    return finding(name, 'warn', 'no gperftools, so no leak checker', 'See gperftools above.');
  }
  if (readElf(file, [LEAK_CHECKER])?.defines.length !== 1) {
    const advice = 'Use gperftools 2.10, as in this package (FORKHEAP_TCMALLOC unset), or 2.16 for HeapLeakChecker.';
    return finding(name, 'warn', `${file} has none`, advice);
  }
  if (kernel.ptraceScope >= 2 && !kernel.mayPtrace) {
    return finding(
      name,
      'warn',
      `kernel.yama.ptrace_scope is ${kernel.ptraceScope}: the checker cannot look at other threads' stacks and may report what is in use there`,
      'Set it to 1, or give the process CAP_SYS_PTRACE; profiles need neither.',
    );
  }
  const filtered = kernel.seccomp ? '; a seccomp filter is at work here: it must allow ptrace' : '';
  return finding(name, 'ok', `gperftools' own is here${filtered}`);
}

/** A daemon hands its own LD_PRELOAD to its workers, whatever the shell's is. */
function checkPm2({ env }: Surroundings): Finding[] {
  const daemon = daemonWithoutForkheap(env);
  if (daemon === null) return [];
  const advice =
    'Its cluster workers cannot be profiled: `pm2 kill`, then `forkheap run -- pm2 start …`; or `forkheap run -- pm2-runtime …`, which needs no daemon.';
  return [finding('pm2', 'warn', `pm2's daemon (pid ${daemon}) was started without forkheap`, advice)];
}

/** The proof: a process of this Node, profiled. */
function checkTrial({ execPath, env, tryProfile }: Surroundings): Finding {
  const { profiled, gperftools, complaint } = tryProfile(execPath, env);
  const [first = ''] = complaint.split('\n');
  const why = first === '' ? '' : `: ${first}`;
  if (profiled === null) {
    const advice = 'Set TMPDIR to a folder that can be written, and run this again.';
    return finding('trial', 'warn', 'no folder to try a profile in', advice);
  }
  if (!profiled) {
    const advice = /failed to map segment|Operation not permitted/.test(complaint)
      ? 'The package lies on a file system that is mounted noexec: install it on another.'
      : 'The message says why. If it does not, please report it with the output of `forkheap doctor --json`.';
    return finding('trial', 'fail', `a process was started to be profiled, and was not${why}`, advice);
  }
  if (complaint !== '') return finding('trial', 'warn', `a process was profiled, but${why}`, 'The message says why.');
  return finding('trial', 'ok', `a process was profiled, with ${gperftools}`);
}

/** Looks at everything that profiling needs. */
export function runChecks(where: Surroundings = surroundings()): Finding[] {
  const built = nativeParts(where.root);
  const findings = [
    checkPlatform(where),
    checkNode(where),
    checkTcmalloc(),
    checkBuilt('preload library', join(built, 'forkheap_preload.so'), 'fail', 'Nothing can be profiled without it.'),
    checkBuilt('addon', join(built, 'forkheap.node'), 'fail', 'The API in JavaScript needs it.'),
    checkBuilt('symbolizer', symbolizerPath(where.env), 'warn', 'Without it functions have no names.', constants.X_OK),
    checkHeapprofile(where),
    checkPreload(where),
    checkNodeOptions(where),
    checkFolder(where),
    checkExecutable(where),
    checkLeakChecker(where),
    ...checkPm2(where),
  ];
  // What is known to be missing needs no proof.
  return findings.some(({ level }) => level === 'fail') ? findings : [...findings, checkTrial(where)];
}
