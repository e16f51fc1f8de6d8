import { ForkheapError, withCode } from '../errors.js';
import { filterProfile } from '../profile/filter.js';
import { mergeProfiles } from '../profile/merge.js';
import type { Profile } from '../profile/model.js';
import type { DumpChoice } from './dump-choice.js';
import { findProcesses } from './find.js';
import { type FoundProcess, readDumps, readPprof, withManifests } from './read.js';

/** How {@link readProfile} reads. */
export interface ReadProfileOptions {
  /** Which dump of each process; `latest` unless given. A number is the one in the dump's name. */
  dump?: DumpChoice;
  /** Only these processes. */
  pids?: readonly number[];
  /** Largest file accepted, in bytes; 1 GiB unless given. */
  maxBytes?: number;
}

/** Whether a path is taken as a file of pprof's own format. */
export function isPprofPath(path: string): boolean {
  return /\.(pb(\.gz)?|pprof)$/.test(path);
}

const pidOf = ({ files, manifest }: FoundProcess): number => manifest?.pid ?? files.pid;

/**
 * Reads a dump of each process found, and merges them. Addresses have no names yet: see {@link symbolize}.
 *
 * @param paths each a folder, a prefix as given to `forkheap run`, a dump, or a file of pprof's (`.pb.gz`, `.pb`, `.pprof`).
 * @throws ForkheapError ERR_FORKHEAP_NO_FILES when a path leads to nothing, ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_FILE_TOO_LARGE.
 * @since 0.1.0
 */
export function readProfile(paths: string | readonly string[], options: ReadProfileOptions = {}): Profile {
  const list = typeof paths === 'string' ? [paths] : paths;
  const limit = options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes };
  const profiles = list.filter(isPprofPath).map((path) => readPprof(path, limit));
  const warnings: string[] = [];
  const present = profiles.flatMap(({ processes }) => processes.map((process) => process.pid));
  const others = list.filter((path) => !isPprofPath(path));
  if (others.length > 0) {
    const found = withManifests(findProcesses(others), (error) => warnings.push(withCode(error)));
    if (found.length === 0) {
      throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `Found no heap profiles at ${others.join(', ')}.`);
    }
    const wanted = options.pids === undefined ? undefined : new Set(options.pids);
    // What nobody asked for is not even read.
    const some = found.filter((process) => wanted?.has(pidOf(process)) ?? true);
    if (some.length > 0) profiles.push(readDumps(some, options.dump, limit));
    present.push(...found.map(pidOf));
  }
  const missing = options.pids?.find((pid) => !present.includes(pid));
  if (missing !== undefined) {
    const there = present.slice(0, 20).join(', ');
    throw new ForkheapError('ERR_FORKHEAP_NO_FILES', `Found no process ${missing}; there are: ${there}.`);
  }
  const merged = profiles.length === 1 ? (profiles[0] as Profile) : mergeProfiles(profiles);
  const profile = warnings.length === 0 ? merged : { ...merged, warnings: [...warnings, ...merged.warnings] };
  return options.pids === undefined ? profile : filterProfile(profile, { pids: options.pids });
}
