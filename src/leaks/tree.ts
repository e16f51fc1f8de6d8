import { dirname, join } from 'node:path';
import type { ManifestCheck } from '../capture/manifest.js';
import { withCode } from '../errors.js';
import { describeProcess, type FoundProcess, readDump } from '../files/read.js';
import type { Profile, ProfiledProcess } from '../profile/model.js';
import { symbolize } from '../symbolize/symbolize.js';
import { type JudgedLeaks, type JudgeOptions, judgeLeaks } from './judge.js';

/** One check of one process. */
export interface JudgedCheck extends JudgedLeaks {
  /** Of the checker; `whole program` and `forked child` are the last checks of a process. */
  readonly name: string;
  /** Path of the report; null when nothing at all was lost. */
  readonly dump: string | null;
  /** Why it could not be made. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** `leaked`: something was lost. `clean`: nothing was. `unknown`: nobody can tell. */
export type Verdict = 'leaked' | 'clean' | 'unknown';

/** A process and its checks. */
export interface CheckedProcess {
  readonly process: ProfiledProcess;
  readonly verdict: Verdict;
  /** Why nobody can tell; empty otherwise. */
  readonly reason: string;
  readonly checks: readonly JudgedCheck[];
}

/** What the checks of a tree of processes say. */
export interface TreeLeaks {
  readonly processes: readonly CheckedProcess[];
  verdict: Verdict;
  /** The lost blocks of all checks, symbolized: for a flame graph. */
  readonly profiles: readonly Profile[];
  readonly warnings: string[];
}

const NOTHING: JudgedLeaks = { findings: [], suppressed: [], others: { bytes: 0, objects: 0 } };
const LAST_CHECKS = new Set(['whole program', 'forked child']);

/** Why a process's checks do not tell everything; empty when they do. */
function gap({ manifest }: FoundProcess): string {
  const check = manifest?.leakCheck;
  if (manifest === null || check === undefined) return 'it was not started for leak checks';
  const failed = check.checks.find(({ error }) => error !== null);
  if (failed?.error) return withCode(failed.error);
  if (manifest.exit === null) return 'it was killed before its last check, or is still running';
  if (check.mode !== 'local' && !check.checks.some(({ name }) => LAST_CHECKS.has(name)))
    return 'its last check was cancelled';
  return '';
}

interface ReadCheck {
  check: ManifestCheck;
  path: string | null;
  profile: Profile | null;
}

function readChecks(found: FoundProcess): ReadCheck[] {
  return (found.manifest?.leakCheck?.checks ?? []).map((check) => {
    if (check.dump === null) return { check, path: null, profile: null };
    const path = join(dirname(found.files.id), check.dump);
    return { check, path, profile: readDump(path, found) };
  });
}

/** The verdict over all: any leak counts, whatever else nobody can tell. */
export function verdictOf(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('leaked')) return 'leaked';
  return verdicts.length === 0 || verdicts.includes('unknown') ? 'unknown' : 'clean';
}

/**
 * Reads what the processes of a tree have left of their leak checks, and judges it.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_NO_FILES
 */
export async function judgeTree(found: readonly FoundProcess[], options: JudgeOptions = {}): Promise<TreeLeaks> {
  const all = found.map((process) => ({ process, checks: readChecks(process) }));
  const profiles = all.flatMap(({ checks }) => checks.flatMap(({ profile }) => (profile === null ? [] : [profile])));
  const locations = profiles.flatMap((profile) => profile.locations);
  const { error } = await symbolize({ processes: [], mappings: [], locations, samples: [], warnings: [] });
  const processes = all.map(({ process, checks }): CheckedProcess => {
    const judged = checks.map(
      ({ check, path, profile }): JudgedCheck => ({
        ...(profile === null ? NOTHING : judgeLeaks(profile, options)),
        name: check.name,
        dump: path,
        error: check.error,
      }),
    );
    const reason = gap(process);
    const leaked = judged.some(({ findings }) => findings.length > 0);
    return {
      process: { ...describeProcess(process), mode: 'exact', sampleInterval: 0 },
      verdict: leaked ? 'leaked' : reason === '' ? 'clean' : 'unknown',
      reason,
      checks: judged,
    };
  });
  return {
    processes,
    verdict: verdictOf(processes.map(({ verdict }) => verdict)),
    profiles,
    warnings: error === null ? [] : [withCode(error)],
  };
}
