import type { Profile } from '../profile/model.js';
import type { SymbolizeResult } from '../symbolize/symbolize.js';
import { changesText } from './processes.js';
import { formatCount, formatShare } from './units.js';

// A few stacks end early in every process, in code without unwind tables.
const NOTED_SHARE = 0.001;

/** What the profile cannot show, in sentences: its warnings, and how many stacks are not whole or not certain. */
export function warningsOf(profile: Profile): string[] {
  return [...profile.processes.flatMap((process) => changesText(process) ?? []), ...stackWarnings(profile)];
}

function stackWarnings(profile: Profile): string[] {
  let walked = 0;
  let truncated = 0;
  let guessed = 0;
  for (const { stacks } of profile.processes) {
    walked += stacks?.walked ?? 0;
    truncated += stacks?.truncated ?? 0;
    guessed += stacks?.guessed ?? 0;
  }
  const warnings = [...profile.warnings];
  const note = (count: number, what: string) => {
    if (count <= walked * NOTED_SHARE) return;
    const share = `${formatShare(count, walked)} (${formatCount(count)} of ${formatCount(walked)})`;
    warnings.push(`${share} of the stacks walked ${what}.`);
  };
  note(truncated, 'end before their outermost frame');
  note(guessed, 'pass code without unwind tables: who called it was worked out from its instructions');
  return warnings;
}

/** Lines under a report about what it could not show. */
export function notes(profile: Profile, symbols: SymbolizeResult): string[] {
  const lines = warningsOf(profile);
  const count = symbols.unsymbolized.reduce((sum, entry) => sum + entry.locations, 0);
  if (count > 0) {
    const all = count + symbols.symbolized;
    lines.push(`${formatCount(count)} of ${formatCount(all)} addresses have no name:`);
    const shown = symbols.unsymbolized.slice(0, 4);
    for (const { file, reason, locations } of shown) {
      lines.push(`  ${formatCount(locations)}  ${file === '' ? '' : `${file}: `}${reason}`);
    }
    const more = symbols.unsymbolized.length - shown.length;
    if (more > 0) lines.push(`  and in ${more} more files`);
  }
  return lines;
}
