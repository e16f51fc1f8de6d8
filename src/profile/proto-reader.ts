const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const MAX_VARINT = 10;

/** What is wrong with a message, in a reader's words. */
export class ProtoError extends Error {}

/** Reads one protocol buffers message, field by field, within its bounds. */
export class ProtoReader {
  /** Number of the field read last. */
  field = 0;
  #type = 0;
  #at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const key = this.#varint();
    this.field = Math.floor(key / 8);
    this.#type = key % 8;
    if (this.field === 0) throw new ProtoError('a field has the number 0');
    return true;
  }

  /** Where the field read last ends. */
  get position(): number {
    return this.#at;
  }

  /** Whether the field's value is a number. */
  get isNumber(): boolean {
    return this.#type === VARINT;
  }

  /** The field's value as a signed number; precise below 2^53. */
  number(): number {
    if (this.#type !== VARINT) throw new ProtoError(`field ${this.field} is no number`);
    return this.#varint();
  }

  /** The field's value as bytes of this message. */
  bytes(): Uint8Array {
    if (this.#type !== BYTES) throw new ProtoError(`field ${this.field} has no length`);
    const length = this.#varint();
    const end = this.#at + length;
    if (length < 0 || end > this.#bytes.length) throw new ProtoError(`field ${this.field} is longer than its message`);
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  /** Adds the numbers of a repeated field, packed or not, to `list`. */
  numbers(list: number[]): void {
    if (this.#type === VARINT) {
      list.push(this.#varint());
      return;
    }
    const packed = new ProtoReader(this.bytes());
    while (packed.#at < packed.#bytes.length) list.push(packed.#varint());
  }

  /** Passes over a field that nobody asked for. */
  skip(): void {
    if (this.#type === VARINT) this.#varint();
    else if (this.#type === BYTES) this.bytes();
    else if (this.#type === FIXED64) this.#at += 8;
    else if (this.#type === FIXED32) this.#at += 4;
    else throw new ProtoError(`field ${this.field} has the unknown type ${this.#type}`);
    if (this.#at > this.#bytes.length) throw new ProtoError('the message is cut');
  }

  #varint(): number {
    let value = 0;
    let factor = 1;
    const start = this.#at;
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new ProtoError('the message is cut');
      value += (byte & 127) * factor;
      factor *= 128;
      // Ten bytes: the 64 bits of a negative number.
      if (byte < 128) return i === MAX_VARINT - 1 ? this.#negative(start) : value;
    }
    throw new ProtoError('a number is longer than 64 bits');
  }

  #negative(start: number): number {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT; i++) {
      value |= BigInt((this.#bytes[start + i] as number) & 127) << BigInt(7 * i);
    }
    return Number(BigInt.asIntN(64, value));
  }
}
