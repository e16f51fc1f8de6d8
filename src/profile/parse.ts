import type { ProfileMode } from '../capture/manifest.js';
import { ForkheapError } from '../errors.js';
import { MappingIndex, type MapsLine, parseMapsLine } from './maps.js';
import type { Frame, Location, Mapping, Profile, ProfiledProcess, Sample, Values } from './model.js';
import { addValues, zeroValues } from './model.js';
import { parseCounts, parseSampleLine, type SampleLine } from './sample-line.js';
import { unsample } from './unsample.js';

/** What the caller knows about the text. */
export interface ParseOptions {
  /** Named in errors. */
  path?: string;
  /** Longest text accepted, in bytes; 1 GiB unless given. */
  maxBytes?: number;
  /** Where the samples come from. Mode and interval always come from the text itself. */
  process?: Partial<Omit<ProfiledProcess, 'mode' | 'sampleInterval'>>;
  /** Frames of the JavaScript functions in it, by {@link Location.address}. */
  code?: ReadonlyMap<number, readonly Frame[]>;
  /** Build IDs of the files mapped, by file name and start address, for instance from a manifest. */
  mappings?: readonly Mapping[];
}

/** Of all that is read at most this is taken into memory. */
export const DEFAULT_MAX_BYTES = 2 ** 30;

// 32 addresses of 19 bytes, or a path of PATH_MAX; anything longer is no line of a heap profile.
const MAX_LINE = 64 * 1024;
// gperftools up to 2.15 leaves out the stacks that do not fit into a buffer of 1 MiB.
const STOCK_BUFFER = 2 ** 20;
const HEADER = 'heap profile:';

/** What the first line of a dump says. */
export interface HeapHeader {
  /** Sums as written in the file: of a sampled profile, before unsampling. */
  readonly values: Values;
  readonly mode: ProfileMode;
  readonly sampleInterval: number;
  /** The numbers are samples as they were caught, and have to be unsampled, each stack by itself. */
  readonly raw: boolean;
}

/** Reads a kind such as `heapprofile` or `heap_v2/524288`; null for one that is not a heap profile's. */
function parseKind(kind: string): Pick<HeapHeader, 'mode' | 'sampleInterval' | 'raw'> | null {
  const exact = { mode: 'exact', sampleInterval: 0, raw: false } as const;
  if (kind === 'heapprofile' || kind === 'growthz' || kind === 'growth' || kind === '') return exact;
  const match = /^(heapz_v2|heap_v2|heapprofile|heap|growthz|growth)\/(\d+)$/.exec(kind);
  if (match === null) return null;
  const [, name = '', number = ''] = match;
  if (name.startsWith('growth')) return exact;
  // In the oldest kind the number is twice the mean distance between samples.
  const sampleInterval = name === 'heap' ? Number(number) / 2 : Number(number);
  // forkheap's own sampled dumps are of the kind that no reader scales: `heapprofile`, with the interval behind it.
  return sampleInterval > 1 ? { mode: 'sampled', sampleInterval, raw: name !== 'heapprofile' } : exact;
}

/**
 * Parses the first line of a dump; null when it is none.
 *
 * @since 0.1.0
 */
export function parseHeapHeader(line: string): HeapHeader | null {
  if (!line.startsWith(HEADER)) return null;
  const bytes = new TextEncoder().encode(line);
  const counts = parseCounts(bytes, HEADER.length, bytes.length);
  const kind = counts === null ? null : parseKind(counts.kind);
  if (counts === null || kind === null) return null;
  const { inuseObjects, inuseSpace, allocObjects, allocSpace } = counts;
  const values = { inuseObjects, inuseSpace, allocObjects, allocSpace };
  return { values, ...kind };
}

/** Parses a dump's text as it comes in. One text each: `push` every chunk, then `end`. */
export class HeapTextParser {
  readonly #options: ParseOptions;
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder();
  readonly #lines: SampleLine[] = [];
  readonly #maps: MapsLine[] = [];
  readonly #sum = zeroValues();
  #rest: Uint8Array = new Uint8Array(0);
  #bytes = 0;
  #lineNumber = 0;
  #header: HeapHeader | null = null;
  #inMaps = false;

  constructor(options: ParseOptions = {}) {
    this.#options = options;
    this.#path = options.path ?? 'heap profile';
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /**
   * Takes the next piece of the text, cut anywhere.
   *
   * @throws ForkheapError ERR_FORKHEAP_BAD_FILE when it is no heap profile, ERR_FORKHEAP_FILE_TOO_LARGE past `maxBytes`.
   */
  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) throw tooLarge(this.#path, this.#bytes, this.#maxBytes);
    let text = chunk;
    if (this.#rest.length > 0) {
      text = new Uint8Array(this.#rest.length + chunk.length);
      text.set(this.#rest);
      text.set(chunk, this.#rest.length);
    }
    let start = 0;
    for (let end = text.indexOf(10); end !== -1; end = text.indexOf(10, start)) {
      this.#lineNumber++;
      this.#line(text, start, end);
      start = end + 1;
    }
    if (text.length - start > MAX_LINE) {
      this.#lineNumber++;
      throw this.#bad(
        this.#header === null ? 'it is not a heap profile' : 'a line is longer than any heap profile has',
      );
    }
    // A copy (a Buffer's slice is none): the caller may use the chunk's memory again.
    this.#rest = new Uint8Array(text.subarray(start));
  }

  /**
   * Ends the text.
   *
   * @throws ForkheapError ERR_FORKHEAP_BAD_FILE when the text is empty or cut.
   */
  end(): Profile {
    if (this.#bytes === 0) throw this.#bad('it is empty: the process ended before it wrote a heap profile');
    if (this.#rest.length > 0) {
      this.#lineNumber++;
      // Without a header any text of one line is better called something else than cut.
      if (this.#header === null && !HEADER.startsWith(this.#decoder.decode(this.#rest.subarray(0, HEADER.length)))) {
        throw this.#bad('it is not a heap profile');
      }
      throw this.#bad('it is cut: the last line has no end');
    }
    if (this.#header === null) throw this.#bad('it is not a heap profile');
    if (!this.#inMaps) throw this.#bad('it is cut: the section MAPPED_LIBRARIES is missing');
    // The kernel lists by address, and these lie above every library.
    if (!this.#maps.some((line) => line.file === '[stack]' || line.file === '[vsyscall]')) {
      throw this.#bad('it is cut: the section MAPPED_LIBRARIES does not reach the stack');
    }
    return this.#build(this.#header, this.#checkSums(this.#header));
  }

  #line(text: Uint8Array, start: number, end: number): void {
    if (this.#header === null) {
      this.#headerLine(this.#decoder.decode(text.subarray(start, Math.min(end, start + MAX_LINE))));
    } else if (this.#inMaps) {
      if (end === start) return;
      const line = parseMapsLine(this.#decoder.decode(text.subarray(start, end)));
      if (line === null) throw this.#bad('a line of the section MAPPED_LIBRARIES is damaged');
      this.#maps.push(line);
    } else if (end === start || text[start] === 0x23) {
      // empty, or a comment
    } else if (text[start] === 0x4d && this.#decoder.decode(text.subarray(start, end)) === 'MAPPED_LIBRARIES:') {
      this.#inMaps = true;
    } else {
      const line = parseSampleLine(text, start, end);
      if (line === null) throw this.#bad('a stack is damaged');
      this.#lines.push(line);
      addValues(this.#sum, line);
    }
  }

  #headerLine(text: string): void {
    // tcmalloc's sampler writes warnings for the reader in front.
    if (text.startsWith('%warn')) return;
    this.#header = parseHeapHeader(text);
    if (this.#header === null) throw this.#bad('it is not a heap profile');
  }

  /** The samples must be all there; the one known exception is a warning. */
  #checkSums(header: HeapHeader): string[] {
    const { inuseObjects, inuseSpace, allocObjects, allocSpace } = header.values;
    const sum = this.#sum;
    const same =
      sum.inuseObjects === inuseObjects &&
      sum.inuseSpace === inuseSpace &&
      sum.allocObjects === allocObjects &&
      sum.allocSpace === allocSpace;
    if (same || header.raw) return [];
    if (this.#bytes <= STOCK_BUFFER && this.#bytes > STOCK_BUFFER - 4096 && sum.inuseSpace <= inuseSpace) {
      const inuse = `${inuseSpace - sum.inuseSpace} of ${inuseSpace} bytes in use`;
      const alloc = `${allocSpace - sum.allocSpace} of ${allocSpace} bytes allocated`;
      return [
        `${this.#path}: gperftools 2.15 and older cut a dump at 1 MiB; stacks with ${inuse} and ${alloc} are missing. ` +
          'Profile with forkheap, which lifts the limit.',
      ];
    }
    throw this.#bad(
      `it is damaged: its stacks hold ${sum.inuseSpace} bytes in use and ${sum.allocSpace} allocated, its first line says ` +
        `${inuseSpace} and ${allocSpace}`,
    );
  }

  #build(header: HeapHeader, warnings: string[]): Profile {
    const known = this.#options.process ?? {};
    const process: ProfiledProcess = {
      id: known.id ?? this.#path,
      pid: known.pid ?? 0,
      parentPid: known.parentPid ?? null,
      kind: known.kind ?? 'unknown',
      command: known.command ?? '',
      changes: known.changes ?? [],
      startTime: known.startTime ?? null,
      exit: known.exit ?? null,
      versions: known.versions ?? null,
      stacks: known.stacks ?? null,
      dumps: known.dumps ?? [],
      mode: header.mode,
      sampleInterval: header.sampleInterval,
    };
    const mappings = this.#mappings();
    const index = new MappingIndex(mappings);
    const { code } = this.#options;
    const locations = new Map<number, Location>();
    const locate = (address: number): Location => {
      let location = locations.get(address);
      if (location === undefined) {
        // Every address is a return address, the leaf's too; the call is before it, maybe in the byte before the mapping ends.
        const mapping = index.find(address - 1);
        const offset = mapping === null ? 0 : address - 1 - mapping.start + mapping.offset;
        location = { address, mapping, offset, frames: code?.get(address) ?? [] };
        locations.set(address, location);
      }
      return location;
    };
    const samples = this.#lines.map((line): Sample => {
      const values = header.raw ? unsample(line, header.sampleInterval) : line;
      return {
        inuseObjects: values.inuseObjects,
        inuseSpace: values.inuseSpace,
        allocObjects: values.allocObjects,
        allocSpace: values.allocSpace,
        locations: line.addresses.map(locate),
        process,
      };
    });
    return { processes: [process], mappings, locations: [...locations.values()], samples, warnings };
  }

  /** Code lies in executable mappings with a name; the build ID is the manifest's where both speak of the same file. */
  #mappings(): Mapping[] {
    const known = new Map(
      (this.#options.mappings ?? []).map((mapping) => [`${mapping.start} ${mapping.file}`, mapping]),
    );
    return this.#maps
      .filter((line) => line.executable && line.file !== '' && !line.file.startsWith('[anon'))
      .map(({ start, limit, offset, file }) => {
        const buildId = known.get(`${start} ${file}`)?.buildId ?? '';
        return { start, limit, offset, file, buildId };
      });
  }

  #bad(what: string): ForkheapError {
    const line = Math.max(this.#lineNumber, 1);
    return new ForkheapError('ERR_FORKHEAP_BAD_FILE', `${this.#path}:${line}: cannot read this file, ${what}.`, {
      path: this.#path,
      line,
    });
  }
}

/** The error for a file over the limit. */
export function tooLarge(path: string, size: number, limit: number): ForkheapError {
  return new ForkheapError(
    'ERR_FORKHEAP_FILE_TOO_LARGE',
    `${path} is too large to read: more than ${limit} bytes (it has at least ${size}). Profile in sampled mode, or for a ` +
      'shorter time.',
    { path },
  );
}

/**
 * Parses a dump in gperftools' text format: `heapprofile`, `heap_v2` (unsampled here, each stack by itself), `heap`, `growth`.
 *
 * @param chunks the text as UTF-8 bytes, in pieces cut anywhere.
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE when it is empty, cut, or of another kind; ERR_FORKHEAP_FILE_TOO_LARGE.
 * @since 0.1.0
 */
export function parseHeapText(chunks: Iterable<Uint8Array>, options: ParseOptions = {}): Profile {
  const parser = new HeapTextParser(options);
  for (const chunk of chunks) parser.push(chunk);
  return parser.end();
}
