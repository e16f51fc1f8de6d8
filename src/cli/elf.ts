import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What the dynamic linker goes by in an executable or a library of 64 bits. */
export interface ElfFile {
  /** e_machine: 62 is x86-64, 183 is arm64. */
  machine: number;
  /** The dynamic linker; empty for a library, and for a program that is linked statically. */
  interpreter: string;
  /** DT_NEEDED. */
  needed: string[];
  /** Whether it defines malloc(). */
  definesMalloc: boolean;
}

const PT_DYNAMIC = 2n;
const PT_INTERP = 3n;
const DT = { NEEDED: 1n, STRTAB: 5n, SYMTAB: 6n, STRSZ: 10n } as const;

interface Segment {
  type: bigint;
  offset: bigint;
  address: bigint;
  size: bigint;
}

function cString(bytes: Buffer, from: number): string {
  const end = bytes.indexOf(0, from);
  return bytes.toString('utf8', from, end < 0 ? bytes.length : end);
}

/** Reads an ELF file, or its beginning; null when it is none of 64 bits, little endian. */
function parse(read: (offset: bigint, size: number) => Buffer): ElfFile | null {
  const header = read(0n, 64);
  if (header.length < 64 || header.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return null;
  const size = header.readUInt16LE(54);
  const table = read(header.readBigUInt64LE(32), size * header.readUInt16LE(56));
  const segments: Segment[] = [];
  for (let at = 0; size >= 56 && at + size <= table.length; at += size) {
    segments.push({
      type: BigInt(table.readUInt32LE(at)),
      offset: table.readBigUInt64LE(at + 8),
      address: table.readBigUInt64LE(at + 16),
      size: table.readBigUInt64LE(at + 32),
    });
  }
  const segment = (type: bigint): Buffer => {
    const found = segments.find((candidate) => candidate.type === type);
    return found === undefined ? Buffer.alloc(0) : read(found.offset, Number(found.size));
  };
  const offsetOf = (address: bigint): bigint => {
    const found = segments.find(
      (candidate) =>
        candidate.type === 1n && address >= candidate.address && address < candidate.address + candidate.size,
    );
    return found === undefined ? address : address - found.address + found.offset;
  };

  const dynamic = segment(PT_DYNAMIC);
  const names: bigint[] = [];
  const values = new Map<bigint, bigint>();
  for (let at = 0; at + 16 <= dynamic.length; at += 16) {
    const tag = dynamic.readBigInt64LE(at);
    const value = dynamic.readBigUInt64LE(at + 8);
    if (tag === 0n) break;
    if (tag === DT.NEEDED) names.push(value);
    else values.set(tag, value);
  }
  const stringsAt = values.get(DT.STRTAB);
  const symbolsAt = values.get(DT.SYMTAB);
  const strings =
    stringsAt === undefined ? Buffer.alloc(0) : read(offsetOf(stringsAt), Number(values.get(DT.STRSZ) ?? 0n));
  // The symbols end where the strings begin, with every linker there is.
  const symbols =
    stringsAt === undefined || symbolsAt === undefined || stringsAt < symbolsAt
      ? Buffer.alloc(0)
      : read(offsetOf(symbolsAt), Number(stringsAt - symbolsAt));
  let definesMalloc = false;
  for (let at = 0; at + 24 <= symbols.length && !definesMalloc; at += 24) {
    const isFunction = (symbols.readUInt8(at + 4) & 15) === 2;
    definesMalloc =
      isFunction && symbols.readUInt16LE(at + 6) !== 0 && cString(strings, symbols.readUInt32LE(at)) === 'malloc';
  }
  return {
    machine: header.readUInt16LE(18),
    interpreter: cString(segment(PT_INTERP), 0),
    needed: names.map((name) => cString(strings, Number(name))),
    definesMalloc,
  };
}

/** @returns null when the file cannot be read, or is no ELF file of 64 bits */
export function readElf(file: string): ElfFile | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return null;
  }
  try {
    const length = BigInt(fstatSync(descriptor).size);
    return parse((offset, size) => {
      if (offset >= length) return Buffer.alloc(0);
      const bytes = Buffer.alloc(Math.min(size, Number(length - offset)));
      return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, offset));
    });
  } catch {
    return null; // cut off, or a folder
  } finally {
    closeSync(descriptor);
  }
}
