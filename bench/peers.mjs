// The ways to run a program that are compared: without a profiler, with forkheap, with others.
//
// A peer turns a command into { command, env }; `folder` is an empty folder for what it writes.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { heapProfileEnv } from '../lib/index.js';
import { forkheap, onPath, plainEnv, sharedLibrary, tcmalloc } from './common.mjs';

// What `forkheap run` asks for, without its own process around the program.
const profiled = (options) => (command, folder) => ({
  command,
  env: heapProfileEnv(
    { prefix: join(folder, 'p'), dumpEvery: 30_000, dumpInuse: 128 << 20, rolling: true, ...options },
    plainEnv(),
  ),
});

const withEnv = (variables) => (command, folder) => ({ command, env: plainEnv(variables(folder)) });

const stock = (method) =>
  withEnv((folder) => ({
    LD_PRELOAD: tcmalloc,
    HEAPPROFILE: join(folder, 'p'),
    TCMALLOC_STACKTRACE_METHOD: method,
    PERFTOOLS_VERBOSE: '-1',
  }));

const jemalloc = sharedLibrary('libjemalloc.so.2');
const jeprof = (interval) =>
  withEnv((folder) => ({
    LD_PRELOAD: jemalloc,
    MALLOC_CONF: `prof:true,prof_final:true,lg_prof_sample:${interval},prof_prefix:${join(folder, 'p')}`,
  }));

const valgrind = (tool) => (command, folder) => ({
  command: ['valgrind', '-q', `--tool=${tool}`, `--${tool}-out-file=${join(folder, 'p.%p')}`, ...command],
  env: plainEnv(),
});

export const peers = {
  glibc: { name: 'no profiler, glibc', setUp: withEnv(() => ({})) },
  tcmalloc: { name: 'no profiler, tcmalloc', setUp: withEnv(() => ({ LD_PRELOAD: tcmalloc })) },
  exact: { name: '**forkheap, exact**', setUp: profiled({ mode: 'exact' }) },
  sampled: { name: '**forkheap, sampled 512 KiB**', setUp: profiled({ mode: 'sampled' }) },
  run: {
    name: '**`forkheap run`, exact**, with its own process',
    setUp: (command, folder) => ({
      command: forkheap('run', '-q', '--prefix', join(folder, 'p'), '--', ...command),
      env: plainEnv(),
    }),
  },
  libunwind: { name: 'gperftools alone, libunwind (its default)', setUp: stock('libunwind') },
  libgcc: { name: 'gperftools alone, libgcc', setUp: stock('libgcc') },
  sampling: {
    name: 'gperftools alone, sampled 512 KiB',
    setUp: withEnv(() => ({ LD_PRELOAD: tcmalloc, TCMALLOC_SAMPLE_PARAMETER: '524288' })),
  },
  heaptrack: {
    name: 'heaptrack',
    missing: !onPath('heaptrack'),
    setUp: (command, folder) => ({ command: ['heaptrack', '-o', join(folder, 'p'), ...command], env: plainEnv() }),
  },
  jemallocExact: { name: 'jemalloc, every allocation', missing: !jemalloc, setUp: jeprof(0) },
  jemalloc: { name: 'jemalloc, sampled 512 KiB', missing: !jemalloc, setUp: jeprof(19) },
  massif: { name: 'valgrind massif', missing: !onPath('valgrind'), setUp: valgrind('massif') },
  dhat: { name: 'valgrind DHAT', missing: !onPath('valgrind'), setUp: valgrind('dhat') },
  v8: {
    name: 'V8 `--heap-prof` (JavaScript objects only)',
    setUp: ([node, ...args], folder) => ({
      command: [node, '--heap-prof', `--heap-prof-dir=${folder}`, ...args],
      env: plainEnv(),
    }),
  },
};

/** Why a peer cannot run here; undefined when it can. */
export function whyMissing(name) {
  return peers[name].missing ? 'not installed' : undefined;
}

export const certificates = '/etc/ssl/certs/ca-certificates.crt';
export const hasCertificates = existsSync(certificates);
