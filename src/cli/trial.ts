import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { packageRoot } from '#root';
import { heapProfileEnv } from '../capture/environment.js';
import { ForkheapError } from '../errors.js';
import { findProcesses } from '../files/find.js';
import { listProcesses } from '../files/list.js';
import { withManifests } from '../files/read.js';

/** What became of a process that was started to see whether profiling works here. */
export interface Trial {
  /** Whether it has left a profile; null when there is no folder that it could be left in. */
  profiled: boolean | null;
  /** gperftools' version there; empty when it could not say. */
  gperftools: string;
  /** What it, or the dynamic linker, had to say, or why it could not be started. */
  complaint: string;
}

/** A new folder; undefined where nothing can be written. */
function scratch(): string | undefined {
  for (const place of [tmpdir(), '.']) {
    try {
      return mkdtempSync(resolve(place, 'forkheap-doctor-'));
    } catch {
      // the next one
    }
  }
  return undefined;
}

/** Profiles a process of this Node that does nothing. */
export function tryProfile(execPath: string, env: NodeJS.ProcessEnv): Trial {
  const folder = scratch();
  if (folder === undefined) return { profiled: null, gperftools: '', complaint: '' };
  try {
    const version = `console.log(require(${JSON.stringify(join(packageRoot, 'lib/cjs/native.js'))}).native().tcmallocVersion())`;
    const { stdout, stderr, error } = spawnSync(execPath, ['-e', version], {
      env: heapProfileEnv({ prefix: join(folder, 'trial') }, env),
      encoding: 'utf8',
      timeout: 30_000,
      killSignal: 'SIGKILL',
    });
    const [process] = listProcesses(withManifests(findProcesses([join(folder, 'trial')])));
    return {
      profiled: process !== undefined && process.dumps.length > 0,
      gperftools: stdout.trim(),
      complaint: error?.message ?? stderr.trim(),
    };
  } catch (error) {
    if (!(error instanceof ForkheapError)) throw error;
    return { profiled: false, gperftools: '', complaint: error.code === 'ERR_FORKHEAP_NO_FILES' ? '' : error.message };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
