import type { Profile } from '../profile/model.js';
import { type LeakFinding, leakOwner, toFinding } from './finding.js';
import { type Suppression, suppressionFor } from './suppressions.js';

/** What is counted as a leak. */
export interface JudgeOptions {
  /** `addons`: what native code of npm packages and of the program has lost. `all`: whatever was lost. Default `addons`. */
  owners?: 'addons' | 'all';
  suppressions?: readonly Suppression[];
}

/** A suppression that has held for something. */
export interface UsedSuppression {
  readonly pattern: string;
  readonly bytes: number;
  readonly objects: number;
}

/** What became of the blocks that a check has found lost. */
export interface JudgedLeaks {
  /** The leaks; the largest first. */
  readonly findings: readonly LeakFinding[];
  readonly suppressed: readonly UsedSuppression[];
  /** Of Node, V8 and system libraries themselves: not counted. */
  readonly others: { readonly bytes: number; readonly objects: number };
}

const stackKey = ({ owner, pid, stack }: LeakFinding): string =>
  [pid, owner, ...stack.map(({ name, file, line, mapping }) => `${name}\t${file}\t${line}\t${mapping}`)].join('\n');

/**
 * Sorts what a check has found into leaks, what is suppressed, and what is nobody's of this program.
 *
 * @param profile of lost blocks, symbolized
 */
export function judgeLeaks(profile: Profile, options: JudgeOptions = {}): JudgedLeaks {
  const { owners = 'addons', suppressions = [] } = options;
  const findings = new Map<string, LeakFinding>();
  const suppressed = new Map<Suppression, UsedSuppression>();
  const others = { bytes: 0, objects: 0 };
  for (const sample of profile.samples) {
    const owner = leakOwner(sample);
    if (owners === 'addons' && !owner.addon) {
      others.bytes += sample.inuseSpace;
      others.objects += sample.inuseObjects;
      continue;
    }
    const finding = toFinding(sample, owner);
    const suppression = suppressionFor(finding.stack, suppressions);
    if (suppression !== undefined) {
      const before = suppressed.get(suppression) ?? { pattern: suppression.pattern, bytes: 0, objects: 0 };
      suppressed.set(suppression, {
        ...before,
        bytes: before.bytes + finding.bytes,
        objects: before.objects + finding.objects,
      });
      continue;
    }
    const key = stackKey(finding);
    const before = findings.get(key);
    findings.set(
      key,
      before === undefined
        ? finding
        : { ...before, bytes: before.bytes + finding.bytes, objects: before.objects + finding.objects },
    );
  }
  return {
    findings: [...findings.values()].sort((a, b) => b.bytes - a.bytes),
    suppressed: [...suppressed.values()],
    others,
  };
}
