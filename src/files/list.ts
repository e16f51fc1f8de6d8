import { statSync } from 'node:fs';
import { type ProfiledProcess, totalValues } from '../profile/model.js';
import type { ListedDump, ListedProcess } from '../report/ls.js';
import { describeProcess, type FoundProcess, readDump, readHeader } from './read.js';

/** Describes processes and their dumps; of exact dumps only the first line is read. */
export function listProcesses(found: readonly FoundProcess[]): ListedProcess[] {
  return found.map((entry) => {
    let mode: ProfiledProcess['mode'] = entry.manifest?.mode ?? 'exact';
    let sampleInterval = entry.manifest?.sampleInterval ?? 0;
    const dumps = entry.files.dumps.map((path): ListedDump => {
      const header = readHeader(path);
      ({ mode, sampleInterval } = header);
      const info = statSync(path);
      // A sampled dump's sums mean nothing before each stack is unsampled.
      const values = mode === 'exact' ? header.values : totalValues(readDump(path, entry));
      return { path, size: info.size, time: info.mtime.toISOString(), values };
    });
    return { process: { ...describeProcess(entry), mode, sampleInterval }, dumps };
  });
}
