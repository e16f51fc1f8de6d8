import { statSync } from 'node:fs';
import { type ProfiledProcess, totalValues } from '../profile/model.js';
import type { ListedDump, ListedProcess } from '../report/ls.js';
import { describeProcess, type FoundProcess, readDump, readHeader } from './read.js';

/** Describes processes and their dumps; of most only the first line is read. */
export function listProcesses(found: readonly FoundProcess[]): ListedProcess[] {
  return found.map((entry) => {
    let mode: ProfiledProcess['mode'] = entry.manifest?.mode ?? 'exact';
    let sampleInterval = entry.manifest?.sampleInterval ?? 0;
    const dumps = entry.files.dumps.map((path): ListedDump => {
      const header = readHeader(path);
      ({ mode, sampleInterval } = header);
      const info = statSync(path);
      // The sums of raw samples mean nothing before each stack is unsampled.
      const values = header.raw ? totalValues(readDump(path, entry)) : header.values;
      return { path, size: info.size, time: info.mtime.toISOString(), values };
    });
    return { process: { ...describeProcess(entry), mode, sampleInterval }, dumps };
  });
}
