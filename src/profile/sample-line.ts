/**
 * The two kinds of line before MAPPED_LIBRARIES, read from bytes: a dump of 100 MB has millions of addresses, and a regular
 * expression for each would take ten times as long.
 */

import { CODE_DIGITS, codeAddress } from './code-address.js';

const SPACE = 0x20;

/** What stands in a line: `inuse objects: bytes [alloc objects: bytes] @ address address ...`. */
export interface SampleLine {
  inuseObjects: number;
  inuseSpace: number;
  allocObjects: number;
  allocSpace: number;
  addresses: number[];
}

class Cursor {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly end: number,
  ) {}

  spaces(): void {
    while (this.at < this.end && this.bytes[this.at] === SPACE) this.at++;
  }

  accept(byte: number): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  /** A decimal number, NaN when there is none. */
  decimal(): number {
    this.spaces();
    const negative = this.accept(0x2d);
    const first = this.at;
    let value = 0;
    while (this.at < this.end) {
      const digit = (this.bytes[this.at] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      this.at++;
    }
    if (this.at === first || this.at - first > 20) return Number.NaN;
    return negative ? -value : value;
  }

  /** `0x` and hexadecimal digits, NaN when there are none. */
  address(): number {
    if (!this.accept(0x30) || !this.accept(0x78)) return Number.NaN;
    const first = this.at;
    let value = 0;
    while (this.at < this.end) {
      const byte = this.bytes[this.at] as number;
      let digit = byte - 0x30;
      if (digit > 9) digit = (byte | SPACE) - 0x57;
      if (digit < 0 || digit > 15 || (byte > 0x39 && digit < 10)) break;
      value = value * 16 + digit;
      this.at++;
    }
    if (this.at === first || this.at - first > 16) return Number.NaN;
    return value >= 2 ** 53 && this.at - first === CODE_DIGITS ? this.#code(first, value) : value;
  }

  /** A number has no room for all digits of a made-up address: exact are its first four and its last twelve. */
  #code(first: number, value: number): number {
    if (Math.floor(value / 2 ** 48) !== 0x7ec0) return value;
    let low = 0;
    for (let i = first + 4; i < this.at; i++) {
      const byte = this.bytes[i] as number;
      low = low * 16 + (byte <= 0x39 ? byte - 0x30 : (byte | SPACE) - 0x57);
    }
    return codeAddress(low);
  }
}

/** Reads `n: b [N: B] @` from `cursor`; null when it is something else. */
function readCounts(cursor: Cursor): SampleLine | null {
  const inuseObjects = cursor.decimal();
  if (!cursor.accept(0x3a)) return null;
  const inuseSpace = cursor.decimal();
  cursor.spaces();
  if (!cursor.accept(0x5b)) return null;
  const allocObjects = cursor.decimal();
  if (!cursor.accept(0x3a)) return null;
  const allocSpace = cursor.decimal();
  if (!cursor.accept(0x5d)) return null;
  cursor.spaces();
  if (!cursor.accept(0x40)) return null;
  if (Number.isNaN(inuseObjects + inuseSpace + allocObjects + allocSpace)) return null;
  return { inuseObjects, inuseSpace, allocObjects, allocSpace, addresses: [] };
}

/** Parses a stack's line in `bytes[start, end)`; null when it is not one. */
export function parseSampleLine(bytes: Uint8Array, start: number, end: number): SampleLine | null {
  const cursor = new Cursor(bytes, start, end);
  const line = readCounts(cursor);
  if (line === null) return null;
  for (;;) {
    const before = cursor.at;
    cursor.spaces();
    if (cursor.at === end) return line;
    if (cursor.at === before) return null;
    const address = cursor.address();
    if (Number.isNaN(address)) return null;
    line.addresses.push(address);
  }
}

/** Parses the counts of a header's line after `heap profile:`, with the kind that follows the `@`. */
export function parseCounts(bytes: Uint8Array, start: number, end: number): (SampleLine & { kind: string }) | null {
  const cursor = new Cursor(bytes, start, end);
  const line = readCounts(cursor);
  if (line === null) return null;
  const kind = new TextDecoder().decode(bytes.subarray(cursor.at, end)).trim();
  return { ...line, kind };
}
