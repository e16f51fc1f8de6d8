import type { Profile, Values } from '../profile/model.js';
import { toCollapsed } from '../report/collapsed.js';
import { toDhat } from '../report/dhat.js';
import { toHeapProfile } from '../report/heapprofile.js';
import { toPprof } from '../report/pprof.js';
import { toSpeedscope } from '../report/speedscope.js';

/** What `--to` can say. */
export const FORMATS = ['pprof', 'speedscope', 'collapsed', 'heapprofile', 'dhat'] as const;

export type Format = (typeof FORMATS)[number];

/** Formats that have negative numbers. */
export const SIGNED_FORMATS: readonly Format[] = ['pprof', 'collapsed'];

/** The profile in another program's format. */
export function exportProfile(profile: Profile, format: Format, value: keyof Values): string | Uint8Array {
  switch (format) {
    case 'pprof':
      return toPprof(profile);
    case 'speedscope':
      return toSpeedscope(profile, { value });
    case 'collapsed':
      return toCollapsed(profile, { value });
    case 'heapprofile':
      return toHeapProfile(profile, { value });
    case 'dhat':
      return toDhat(profile);
  }
}
