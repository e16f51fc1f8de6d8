import type { Profile, Values } from '../profile/model.js';
import { resolveStack } from '../symbolize/resolve.js';
import { processTitle } from './call-tree.js';

export interface StackExportOptions {
  /** The one value that the format has room for; inuseSpace unless given. */
  value?: keyof Values;
}

/** Names must not hold what separates them. */
const clean = (name: string): string => name.replace(/;/g, ':').replace(/\s+/g, ' ');

/**
 * The profile as collapsed stacks: `process;outermost;…;innermost bytes`, a line each, for flamegraph.pl, inferno, speedscope.
 * A diff has negative numbers.
 *
 * @since 0.1.0
 */
export function toCollapsed(profile: Profile, options: StackExportOptions = {}): string {
  const value = options.value ?? 'inuseSpace';
  const sums = new Map<string, number>();
  for (const sample of profile.samples) {
    const names = [...resolveStack(sample)].map((frame) => clean(frame.name)).reverse();
    const stack = [clean(processTitle(sample.process)), ...names].join(';');
    sums.set(stack, (sums.get(stack) ?? 0) + sample[value]);
  }
  const lines: string[] = [];
  for (const [stack, sum] of sums) if (Math.round(sum) !== 0) lines.push(`${stack} ${Math.round(sum)}\n`);
  return lines.join('');
}
