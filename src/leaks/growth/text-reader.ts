import type { Frame, Profile, Sample } from '../../profile/model.js';
import { parseHeapText } from '../../profile/parse.js';

/** The values in front of a line's `@`: in use and allocated, objects and bytes each. */
const VALUES = /^(?:heap profile:)?\s*(-?\d+):\s*(-?\d+)\s*\[\s*(-?\d+):\s*(-?\d+)\]\s*@/;

/**
 * Reads the profile of this process again and again. Most of its stacks are Node's own, thousands of them, and never matter: a
 * stack that was found not to is not parsed again.
 */
export class TextReader {
  readonly #matters: (sample: Sample) => boolean;
  readonly #boring = new Set<string>();

  constructor(matters: (sample: Sample) => boolean) {
    this.#matters = matters;
  }

  /** The part of the profile that matters. `code`: names of JavaScript functions, by address. */
  read(text: string, code: ReadonlyMap<number, readonly Frame[]>): Profile {
    const maps = text.indexOf('\nMAPPED_LIBRARIES:');
    const [header = '', ...lines] = text.slice(0, maps < 0 ? text.length : maps).split('\n');
    const stacks: string[] = [];
    const kept = lines.filter((line) => {
      const stack = line.slice(line.indexOf('@'));
      const wanted = line !== '' && !this.#boring.has(stack);
      if (wanted) stacks.push(stack);
      return wanted;
    });
    const part = [headerOf(header, kept), ...kept, maps < 0 ? '' : text.slice(maps)].join('\n');
    const { pid } = process;
    const profile = parseHeapText([Buffer.from(part)], { path: `heap of process ${pid}`, code, process: { pid } });
    const samples = profile.samples.filter((sample, i) => {
      const matters = this.#matters(sample);
      // A copy: a part of the text would keep all of it.
      if (!matters) this.#boring.add(Buffer.from(stacks[i] ?? '', 'latin1').toString('latin1'));
      return matters;
    });
    return { ...profile, samples };
  }
}

/** The first line for these lines: its sums are checked. */
function headerOf(header: string, lines: readonly string[]): string {
  const sums = [0, 0, 0, 0];
  for (const line of lines) {
    const values = VALUES.exec(line) ?? [];
    for (let i = 0; i < 4; i++) sums[i] = (sums[i] as number) + Number(values[i + 1] ?? 0);
  }
  const [objects, bytes, allocObjects, allocBytes] = sums;
  return header.replace(VALUES, `heap profile: ${objects}: ${bytes} [${allocObjects}: ${allocBytes}] @`);
}
