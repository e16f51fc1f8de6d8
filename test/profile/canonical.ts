import type { Profile, Sample, Values } from '../../src/profile/model.js';
import { VALUE_KEYS } from '../../src/profile/model.js';

const frameText = (sample: Sample): string =>
  sample.locations
    .map(({ mapping, offset, address, frames }) => {
      const names = frames.map((frame) => `${frame.function}@${frame.file}:${frame.line}:${frame.column ?? 0}`);
      return mapping === null && frames.length > 0
        ? names.join('|')
        : `${mapping === null ? address : `${mapping.file}+${offset}`} ${names.join('|')}`;
    })
    .join('\n');

/** A profile as what it says, without the order in which it says so: the values of each stack of each process. */
export function canonical(profile: Profile): [string, Values][] {
  const sums = new Map<string, Values>();
  for (const sample of profile.samples) {
    const key = `${sample.process.id}\n${frameText(sample)}`;
    const sum = sums.get(key) ?? { inuseObjects: 0, inuseSpace: 0, allocObjects: 0, allocSpace: 0 };
    for (const name of VALUE_KEYS) sum[name] += sample[name];
    sums.set(key, sum);
  }
  return [...sums].filter(([, sum]) => VALUE_KEYS.some((name) => sum[name] !== 0)).sort(([a], [b]) => (a < b ? -1 : 1));
}
