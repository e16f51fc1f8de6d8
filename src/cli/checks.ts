import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '#root';
import { findTcmalloc } from '../capture/libraries.js';
import { ForkheapError } from '../errors.js';
import { howToRestore, nativeParts } from '../native-parts.js';
import { symbolizerPath } from '../symbolize/client.js';
import { optionsObstacle, preloadObstacle, programObstacle } from './obstacles.js';

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
  platform: string;
  arch: string;
  /** Version of glibc; empty on another C library. */
  glibc: string;
  nodeVersion: string;
  env: NodeJS.ProcessEnv;
  execPath: string;
  /** The current folder. */
  folder: string;
  root: string;
}

/** This machine and process. */
export function surroundings(): Surroundings {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: report.header?.glibcVersionRuntime ?? '',
    nodeVersion: process.versions.node,
    env: process.env,
    execPath: process.execPath,
    folder: process.cwd(),
    root: packageRoot,
  };
}

const finding = (name: string, level: Level, message: string, advice = ''): Finding => ({
  name,
  level,
  message,
  advice,
});

function checkPlatform({ platform, arch, glibc }: Surroundings): Finding {
  const advice = 'Use Linux on x86-64 with glibc, for instance a Debian or Ubuntu container.';
  if (platform !== 'linux' || arch !== 'x64') return finding('platform', 'fail', `${platform} ${arch}`, advice);
  if (glibc === '') return finding('platform', 'fail', 'linux x64 without glibc (musl?)', advice);
  return finding('platform', 'ok', `linux x64, glibc ${glibc}`);
}

function checkNode({ nodeVersion }: Surroundings): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 17)) return finding('node', 'ok', `Node.js ${nodeVersion}`);
  return finding('node', 'fail', `Node.js ${nodeVersion}`, 'Use Node.js 20.17 or newer.');
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
  return finding('NODE_OPTIONS', 'ok', value === '' ? 'not set' : value);
}

/** Whether the dynamic linker will preload what it is told to, and that serves malloc. */
function checkExecutable({ execPath }: Surroundings): Finding {
  if (!existsSync(execPath)) {
    return finding('executable', 'warn', `${execPath} cannot be looked at`, 'Check that it is not setuid.');
  }
  const obstacle = programObstacle(execPath);
  if (obstacle !== null) return finding('executable', 'fail', obstacle.message, obstacle.advice);
  return finding('executable', 'ok', execPath);
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

/** Looks at everything that profiling needs. */
export function runChecks(where: Surroundings = surroundings()): Finding[] {
  const built = nativeParts(where.root);
  return [
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
  ];
}
