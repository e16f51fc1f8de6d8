import type { Mapping } from './model.js';

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([-rwxsp]{4,5}) ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ \d+(?: +(.*))?$/;

/** A line of /proc/self/maps. */
export interface MapsLine extends Mapping {
  readonly executable: boolean;
}

/** Parses one line of /proc/self/maps, null when it is not one. */
export function parseMapsLine(text: string): MapsLine | null {
  const match = LINE.exec(text);
  if (match === null) return null;
  const [, start = '', limit = '', flags = '', offset = '', rest = ''] = match;
  return {
    start: Number.parseInt(start, 16),
    limit: Number.parseInt(limit, 16),
    offset: Number.parseInt(offset, 16),
    // A library that was replaced while the process ran: the file of that name now may be another, the build ID tells.
    file: rest.replace(/ \(deleted\)$/, '').trimEnd(),
    buildId: '',
    executable: flags.includes('x'),
  };
}

/** Finds the mapping of an address. */
export class MappingIndex {
  readonly #sorted: readonly Mapping[];

  constructor(mappings: readonly Mapping[]) {
    this.#sorted = [...mappings].sort((a, b) => a.start - b.start);
  }

  find(address: number): Mapping | null {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] as Mapping).start <= address) low = middle + 1;
      else high = middle;
    }
    const found = this.#sorted[low - 1];
    return found !== undefined && address < found.limit ? found : null;
  }
}
