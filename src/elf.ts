import { closeSync, openSync, readSync } from 'node:fs';

/** What the dynamic linker goes by in an executable or a library of 64 bits. */
export interface ElfFile {
  /** e_machine: see {@link Machine}. */
  machine: number;
  /** The dynamic linker; empty for a library, and for a program that is linked statically. */
  interpreter: string;
  /** DT_NEEDED. */
  needed: string[];
  /** Those of the functions asked for that it defines, for all to see. */
  defines: string[];
}

/** Values of e_machine. */
export const Machine = { X86_64: 62, ARM64: 183 } as const;

const PT = { LOAD: 1, DYNAMIC: 2, INTERP: 3 } as const;
const DT = { NEEDED: 1n, HASH: 4n, STRTAB: 5n, SYMTAB: 6n, STRSZ: 10n, GNU_HASH: 0x6ffffef5n } as const;
const SYMBOL_SIZE = 24;

interface Segment {
  type: number;
  offset: number;
  address: bigint;
  size: number;
}

function gnuHash(name: string): number {
  let hash = 5381;
  for (const byte of Buffer.from(name)) hash = (Math.imul(hash, 33) + byte) >>> 0;
  return hash;
}

function elfHash(name: string): number {
  let hash = 0;
  for (const byte of Buffer.from(name)) {
    hash = ((hash << 4) + byte) >>> 0;
    hash = (hash ^ ((hash >>> 24) & 0xf0)) & 0x0fffffff;
  }
  return hash;
}

/** Reads an ELF file of 64 bits, little endian, and no more of it than is asked for: Node has 100 MB. */
class Reader {
  private readonly segments: Segment[] = [];
  private readonly dynamic = new Map<bigint, bigint>();
  readonly machine: number;
  readonly interpreter: string;
  readonly needed: string[];

  constructor(private readonly descriptor: number) {
    const header = this.bytes(0, 64);
    this.machine = header.readUInt16LE(18);
    const entry = header.readUInt16LE(54);
    const table = this.bytes(Number(header.readBigUInt64LE(32)), entry * header.readUInt16LE(56));
    for (let at = 0; entry >= 56 && at + entry <= table.length; at += entry) {
      this.segments.push({
        type: table.readUInt32LE(at),
        offset: Number(table.readBigUInt64LE(at + 8)),
        address: table.readBigUInt64LE(at + 16),
        size: Number(table.readBigUInt64LE(at + 32)),
      });
    }
    this.interpreter = this.segment(PT.INTERP).toString('utf8').replace(/\0.*$/s, '');
    const names: bigint[] = [];
    const entries = this.segment(PT.DYNAMIC);
    for (let at = 0; at + 16 <= entries.length; at += 16) {
      const tag = entries.readBigInt64LE(at);
      const value = entries.readBigUInt64LE(at + 8);
      if (tag === 0n) break;
      if (tag === DT.NEEDED) names.push(value);
      else this.dynamic.set(tag, value);
    }
    this.needed = names.map((name) => this.string(Number(name)));
  }

  private bytes(offset: number, size: number): Buffer {
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, readSync(this.descriptor, bytes, 0, size, offset));
  }

  private segment(type: number): Buffer {
    const found = this.segments.find((candidate) => candidate.type === type);
    return found === undefined ? Buffer.alloc(0) : this.bytes(found.offset, found.size);
  }

  /** Where an address of the loaded file lies in the file. */
  private offsetOf(address: bigint): number {
    const found = this.segments.find(
      ({ type, address: start, size }) => type === PT.LOAD && address >= start && address < start + BigInt(size),
    );
    return found === undefined ? Number(address) : Number(address - found.address) + found.offset;
  }

  private table(tag: bigint): number | undefined {
    const address = this.dynamic.get(tag);
    return address === undefined ? undefined : this.offsetOf(address);
  }

  private string(at: number): string {
    const strings = this.table(DT.STRTAB) ?? 0;
    const text = this.bytes(strings + at, Math.min(4096, Number(this.dynamic.get(DT.STRSZ) ?? 0n) - at));
    return text.toString('utf8').replace(/\0.*$/s, '');
  }

  /** Whether symbol `index` is a function of this name, defined here. */
  private isFunction(index: number, name: string): boolean {
    const symbol = this.bytes((this.table(DT.SYMTAB) ?? 0) + index * SYMBOL_SIZE, SYMBOL_SIZE);
    const type = symbol.readUInt8(4) & 15;
    return type === 2 && symbol.readUInt16LE(6) !== 0 && this.string(symbol.readUInt32LE(0)) === name;
  }

  private words(offset: number, count: number): number[] {
    const bytes = this.bytes(offset, 4 * count);
    return Array.from({ length: count }, (_, i) => bytes.readUInt32LE(4 * i));
  }

  /** Looks in the file's own hash table, as the dynamic linker does. */
  defines(name: string): boolean {
    const gnu = this.table(DT.GNU_HASH);
    if (gnu !== undefined) return this.findByGnuHash(gnu, name);
    const old = this.table(DT.HASH);
    return old !== undefined && this.findByHash(old, name);
  }

  private findByGnuHash(table: number, name: string): boolean {
    const [buckets = 0, first = 0, bloom = 0] = this.words(table, 3);
    if (buckets === 0) return false;
    const hash = gnuHash(name);
    const bucketsAt = table + 16 + 8 * bloom;
    const [start = 0] = this.words(bucketsAt + 4 * (hash % buckets), 1);
    for (let index = start; index >= first && index !== 0; index++) {
      const [chain = 1] = this.words(bucketsAt + 4 * (buckets + index - first), 1);
      if ((chain | 1) === (hash | 1) && this.isFunction(index, name)) return true;
      if ((chain & 1) !== 0) break;
    }
    return false;
  }

  private findByHash(table: number, name: string): boolean {
    const [buckets = 0] = this.words(table, 1);
    if (buckets === 0) return false;
    let [index = 0] = this.words(table + 8 + 4 * (elfHash(name) % buckets), 1);
    while (index !== 0) {
      if (this.isFunction(index, name)) return true;
      [index = 0] = this.words(table + 8 + 4 * (buckets + index), 1);
    }
    return false;
  }
}

/**
 * @param functions names of functions to look for; see {@link ElfFile.defines}
 * @returns null when the file cannot be read, or is no ELF file of 64 bits, little endian
 */
export function readElf(file: string, functions: readonly string[] = []): ElfFile | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return null;
  }
  try {
    const magic = Buffer.alloc(6);
    if (readSync(descriptor, magic, 0, 6, 0) < 6 || magic.toString('latin1') !== '\x7fELF\x02\x01') return null;
    const reader = new Reader(descriptor);
    const { machine, interpreter, needed } = reader;
    return { machine, interpreter, needed, defines: functions.filter((name) => reader.defines(name)) };
  } catch {
    return null; // cut off, damaged, or a folder
  } finally {
    closeSync(descriptor);
  }
}
