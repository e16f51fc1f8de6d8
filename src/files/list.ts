import { statSync } from 'node:fs';
import { type ProfiledProcess, totalValues, type Values, zeroValues } from '../profile/model.js';
import type { ListedDump, ListedProcess } from '../report/ls.js';
import { LenientReading } from './lenient.js';
import { describeProcess, type FoundProcess, readDump, readHeader } from './read.js';

/**
 * Describes processes and their dumps; of most only the first line is read.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_FILE_TOO_LARGE when no dump can be read.
 */
export function listProcesses(found: readonly FoundProcess[]): ListedProcess[] {
  const reading = new LenientReading();
  const list = found.map((entry) => {
    let mode: ProfiledProcess['mode'] = entry.manifest?.mode ?? 'exact';
    let sampleInterval = entry.manifest?.sampleInterval ?? 0;
    const dumps = entry.files.dumps.map((path): ListedDump => {
      const read = (): Values => {
        const header = readHeader(path);
        ({ mode, sampleInterval } = header);
        // The sums of raw samples mean nothing before each stack is unsampled.
        return header.raw ? totalValues(readDump(path, entry)) : header.values;
      };
      const content = reading.dump<Pick<ListedDump, 'values' | 'problem'>>(
        entry.files,
        () => ({ values: read(), problem: null }),
        (problem) => ({ values: zeroValues(), problem }),
      );
      const info = statSync(path);
      return { path, size: info.size, time: info.mtime.toISOString(), ...content };
    });
    return { process: { ...describeProcess(entry), mode, sampleInterval }, dumps };
  });
  reading.end();
  return list;
}
