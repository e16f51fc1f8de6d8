import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { root, runProcess } from '../helpers/process.js';

const sources = join(root, 'test/report/programs');
const gperftools = 'libtcmalloc_and_profiler.so.4';

export interface Known {
  folder: string;
  /** The program, and the same with a sampled profile of itself at the end. */
  program: string;
  sampledProgram: string;
  exactDump: string;
  sampledDump: string;
}

/** Builds programs/known.cc and has stock gperftools write its dumps, in a folder of the test's own. */
export async function makeKnown(t: Test): Promise<Known> {
  const folder = t.testdir({});
  const at = (name: string) => join(folder, name);
  const compile = (...args: string[]) => execFileSync('g++', ['-O2', '-std=c++17', ...args], { stdio: 'inherit' });
  compile('-fPIC', '-shared', '-fvisibility=hidden', '-s', '-o', at('libknown.so'), join(sources, 'library.cc'));
  const link = [`-L${folder}`, '-lknown', `-Wl,-rpath,${folder}`];
  compile('-g', '-o', at('known'), join(sources, 'known.cc'), ...link);
  compile('-g', '-DSAMPLED', '-o', at('sampled'), join(sources, 'known.cc'), ...link, `-l:${gperftools}`);
  await runProcess(t, [at('known')], { env: { LD_PRELOAD: gperftools, HEAPPROFILE: at('exact') } });
  const { stdout } = await runProcess(t, [at('sampled')], { env: { TCMALLOC_SAMPLE_PARAMETER: '65536' } });
  writeFileSync(at('sampled.0001.heap'), stdout);
  return {
    folder,
    program: at('known'),
    sampledProgram: at('sampled'),
    exactDump: at('exact.0001.heap'),
    sampledDump: at('sampled.0001.heap'),
  };
}

/** The bytes in use and allocated that a dump's first line speaks of. */
export function headerOf(dump: string): { inuse: number; alloc: number } {
  const match = /^heap profile: +\d+: +(\d+) \[ *\d+: +(\d+)\]/m.exec(readFileSync(dump, 'latin1'));
  return { inuse: Number(match?.[1]), alloc: Number(match?.[2]) };
}
