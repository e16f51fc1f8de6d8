import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Manifest } from '../capture/manifest.js';
import { ForkheapError } from '../errors.js';
import { mergeDistinct } from '../profile/merge.js';
import type { ProcessVersions, Profile, ProfiledProcess } from '../profile/model.js';
import type { HeapHeader } from '../profile/parse.js';
import { DEFAULT_MAX_BYTES, HeapTextParser, parseHeapHeader, tooLarge } from '../profile/parse.js';
import { parsePprof } from '../profile/pprof.js';
import { codeFrames } from '../symbolize/javascript.js';
import { chooseDump, type DumpChoice, numberOf } from './dump-choice.js';
import type { ProcessFiles } from './find.js';
import { LenientReading } from './lenient.js';
import { readManifest, toMapping } from './manifest-file.js';

const CHUNK = 1 << 20;

export interface ReadOptions {
  /** Largest file accepted, in bytes; 1 GiB unless given. */
  maxBytes?: number;
}

/** A process with what its files say. */
export interface FoundProcess {
  readonly files: ProcessFiles;
  readonly manifest: Manifest | null;
}

function open(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'it belongs to another user' : code;
    const error = code === 'ENOENT' ? 'ERR_FORKHEAP_NO_FILES' : 'ERR_FORKHEAP_BAD_FILE';
    throw new ForkheapError(error, `${path}: cannot read this file, ${reason}.`, { path, cause });
  }
}

/** Calls `take` with the file's content, piece by piece, until it returns false. */
function readChunks(path: string, maxBytes: number, take: (chunk: Uint8Array) => boolean): void {
  const fd = open(path);
  try {
    const info = fstatSync(fd);
    if (info.isDirectory()) {
      throw new ForkheapError('ERR_FORKHEAP_BAD_FILE', `${path}: cannot read this file, it is a folder.`, { path });
    }
    // Before reading: nobody should wait for gigabytes to be told this.
    if (info.size > maxBytes) throw tooLarge(path, info.size, maxBytes);
    const buffer = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const size = readSync(fd, buffer, 0, CHUNK, null);
      if (size === 0 || !take(buffer.subarray(0, size))) return;
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * The manifests of the processes found; files in a manifest's place that are something else fall away.
 *
 * @param leaveOut is told why a manifest cannot be read; the dumps beside it are read without. Unless given, that is an error.
 */
export function withManifests(
  found: readonly ProcessFiles[],
  leaveOut?: (error: ForkheapError) => void,
): FoundProcess[] {
  const read = (path: string): Manifest | null => {
    try {
      return readManifest(path);
    } catch (error) {
      if (leaveOut === undefined || !(error instanceof ForkheapError)) throw error;
      leaveOut(error);
      return null;
    }
  };
  return found
    .map((files) => ({ files, manifest: files.manifest === null ? null : read(files.manifest) }))
    .filter(({ files, manifest }) => manifest !== null || files.dumps.length > 0);
}

/** What is known of a process from its files, without reading its dumps. */
export function describeProcess({ files, manifest }: FoundProcess): Omit<ProfiledProcess, 'mode' | 'sampleInterval'> {
  return {
    id: files.id,
    pid: manifest?.pid ?? files.pid,
    parentPid: manifest?.parentPid ?? null,
    kind: manifest?.kind ?? 'unknown',
    command: manifest?.argv.join(' ') ?? '',
    changes: manifest?.changes ?? [],
    startTime: manifest?.startTime ?? null,
    exit: manifest?.exit ?? null,
    versions: manifest === null ? null : versionsOf(manifest),
    stacks:
      manifest === null
        ? null
        : { walked: manifest.stacks, truncated: manifest.truncatedStacks, guessed: manifest.guessedStacks ?? 0 },
    dumps: files.dumps,
  };
}

function versionsOf({ forkheap, nodeVersion, gperftools }: Manifest): ProcessVersions {
  return { forkheap, node: nodeVersion, gperftools };
}

/**
 * Reads one dump.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_FILE_TOO_LARGE, ERR_FORKHEAP_NO_FILES.
 */
export function readDump(path: string, process: FoundProcess, options: ReadOptions = {}): Profile {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  const mappings = process.manifest?.mappings.map(toMapping) ?? [];
  const code = codeFrames(process.manifest?.code ?? []);
  const parser = new HeapTextParser({ path, maxBytes, mappings, code, process: describeProcess(process) });
  readChunks(path, maxBytes, (chunk) => {
    parser.push(chunk);
    return true;
  });
  return parser.end();
}

/** Reads a dump's first line only. */
export function readHeader(path: string): HeapHeader {
  let text = '';
  readChunks(path, Number.POSITIVE_INFINITY, (chunk) => {
    text += Buffer.from(chunk.subarray(0, 8192)).toString('latin1');
    return false;
  });
  const header = parseHeapHeader(text.split('\n').find((line) => !line.startsWith('%warn')) ?? '');
  if (header !== null) return header;
  const reason =
    text === '' ? 'it is empty: the process ended before it wrote a heap profile' : 'it is not a heap profile';
  throw new ForkheapError('ERR_FORKHEAP_BAD_FILE', `${path}:1: cannot read this file, ${reason}.`, { path, line: 1 });
}

function withoutDump(process: FoundProcess, warning: string): Profile {
  const { mode = 'exact', sampleInterval = 0 } = process.manifest ?? {};
  const description: ProfiledProcess = { ...describeProcess(process), mode, sampleInterval };
  return { processes: [description], mappings: [], locations: [], samples: [], warnings: [warning] };
}

function whyNoDump({ files, manifest }: FoundProcess, choice: DumpChoice): string {
  const pid = manifest?.pid ?? files.pid;
  return files.dumps.length === 0
    ? `Process ${pid} wrote no dump: it is still running, or was killed before its end.`
    : `Process ${pid} has no dump ${choice}.`;
}

/**
 * Reads one dump of each process and merges them. Processes without that dump are in the profile too, and those whose
 * dump cannot be read, unless that dump was asked for by its own path, or no other can be read.
 */
export function readDumps(
  processes: readonly FoundProcess[],
  choice: DumpChoice = 'latest',
  options: ReadOptions = {},
): Profile {
  const reading = new LenientReading();
  const read = (process: FoundProcess): Profile => {
    const dump = chooseDump(process.files.dumps, choice);
    if (dump === undefined) return withoutDump(process, whyNoDump(process, choice));
    return reading.dump(
      process.files,
      () => readDump(dump, process, options),
      (why) => withoutDump(process, `Left out: ${why}`),
    );
  };
  if (typeof choice === 'number' && processes.every(({ files }) => chooseDump(files.dumps, choice) === undefined)) {
    const numbers = processes.flatMap(({ files }) => files.dumps.map(numberOf));
    const there = [...new Set(numbers)].sort((a, b) => a - b).slice(0, 20);
    throw new ForkheapError(
      'ERR_FORKHEAP_NO_FILES',
      `No process has a dump ${choice}; there are: ${there.join(', ') || 'none'}.`,
    );
  }
  function* all(): Generator<Profile> {
    for (const process of processes) yield read(process);
  }
  const profile = processes.length === 1 ? read(processes[0] as FoundProcess) : mergeDistinct(all());
  reading.end();
  return profile;
}

/** Reads the newest dump of each process and merges them. */
export function readLatest(processes: readonly FoundProcess[], options: ReadOptions = {}): Profile {
  return readDumps(processes, 'latest', options);
}

/**
 * Reads a file in pprof's profile.proto, compressed or not.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE, ERR_FORKHEAP_FILE_TOO_LARGE, ERR_FORKHEAP_NO_FILES.
 */
export function readPprof(path: string, options: ReadOptions = {}): Profile {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  const chunks: Uint8Array[] = [];
  readChunks(path, maxBytes, (chunk) => {
    chunks.push(Uint8Array.from(chunk));
    return true;
  });
  return parsePprof(Buffer.concat(chunks), { path, maxBytes });
}
