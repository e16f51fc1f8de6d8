import { statSync } from 'node:fs';
import { ForkheapError } from '../errors.js';
import { type ProfiledProcess, totalValues, type Values, zeroValues } from '../profile/model.js';
import type { ListedDump, ListedProcess } from '../report/ls.js';
import { describeProcess, type FoundProcess, readDump, readHeader } from './read.js';

/**
 * Describes processes and their dumps; of most only the first line is read.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_FILE_TOO_LARGE when no dump can be read.
 */
export function listProcesses(found: readonly FoundProcess[]): ListedProcess[] {
  let readable = 0;
  let unreadable: ForkheapError | undefined;
  const list = found.map((entry) => {
    let mode: ProfiledProcess['mode'] = entry.manifest?.mode ?? 'exact';
    let sampleInterval = entry.manifest?.sampleInterval ?? 0;
    const dumps = entry.files.dumps.map((path): ListedDump => {
      let values: Values = zeroValues();
      let problem: string | null = null;
      try {
        const header = readHeader(path);
        ({ mode, sampleInterval } = header);
        // The sums of raw samples mean nothing before each stack is unsampled.
        values = header.raw ? totalValues(readDump(path, entry)) : header.values;
        readable++;
      } catch (error) {
        if (!(error instanceof ForkheapError) || entry.files.named) throw error;
        unreadable ??= error;
        problem = `${error.message} [${error.code}]`;
      }
      const info = statSync(path);
      return { path, size: info.size, time: info.mtime.toISOString(), values, problem };
    });
    return { process: { ...describeProcess(entry), mode, sampleInterval }, dumps };
  });
  if (readable === 0 && unreadable !== undefined) throw unreadable;
  return list;
}
