const PACKED = 2;

/** Writes repeated protocol buffers messages that are made of numbers, one after the other. */
export class ProtoWriter {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;

  /** What was written. */
  end(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A message, as the bytes of all its fields. */
  message(field: number, bytes: Uint8Array): void {
    this.#reserve(20 + bytes.length);
    this.#varint(field * 8 + PACKED);
    this.#varint(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A field of packed numbers. */
  numbers(field: number, values: readonly number[]): void {
    const sizes = values.reduce((sum, value) => sum + size(value), 0);
    this.#reserve(20 + sizes);
    this.#varint(field * 8 + PACKED);
    this.#varint(sizes);
    for (const value of values) this.#varint(value);
  }

  /** The bytes of fields that were written before. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Forgets what was written; the memory is used again. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(room: number): void {
    if (this.#length + room <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + room));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  #varint(value: number): void {
    if (value < 0) {
      this.#negative(value);
      return;
    }
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** 64 bits of two's complement, in ten bytes. */
  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 128n) {
      this.#bytes[this.#length++] = Number(rest & 127n) + 128;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }
}

/** Bytes that a number takes. */
function size(value: number): number {
  if (value < 0) return 10;
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
