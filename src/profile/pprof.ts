import { gunzipSync } from 'node:zlib';
import { ForkheapError } from '../errors.js';
import type { Frame, Location, Mapping, Profile, ProfiledProcess, Sample, Values } from './model.js';
import { DEFAULT_MAX_BYTES, tooLarge } from './parse.js';
import { type RawProfile, type RawSample, readRaw, readSample } from './pprof-message.js';
import { ProtoError } from './proto-reader.js';

/** Begins a comment that describes a process, as JSON. */
export const PROCESS_COMMENT = 'forkheap process ';

const VALUE_NAMES: Record<string, keyof Values> = {
  inuse_space: 'inuseSpace',
  inuse_objects: 'inuseObjects',
  alloc_space: 'allocSpace',
  alloc_objects: 'allocObjects',
  space: 'inuseSpace',
  objects: 'inuseObjects',
};

const KINDS: readonly string[] = ['root', 'fork', 'child', 'cluster-worker'];

class Builder {
  readonly #raw: RawProfile;
  readonly #path: string;
  readonly #processes = new Map<string, ProfiledProcess>();
  readonly #labelled = new Map<string, ProfiledProcess>();
  readonly warnings: string[] = [];

  constructor(raw: RawProfile, path: string) {
    this.#raw = raw;
    this.#path = path;
  }

  build(): Profile {
    const { sampleTypes, samples } = this.#raw;
    const names = sampleTypes.map((type) => VALUE_NAMES[this.#string(type)]);
    if (names.every((name) => name === undefined)) {
      throw new ProtoError('it has no memory values (inuse_space, alloc_space, …): is it a profile of CPU time?');
    }
    this.#comments();
    const mappings = this.#mappings();
    const locations = this.#locations(mappings);
    const built = samples.ends.map((end, i): Sample => {
      const sample = readSample(samples.message.subarray(end - (samples.lengths[i] as number), end));
      const values = { inuseObjects: 0, inuseSpace: 0, allocObjects: 0, allocSpace: 0 };
      if (sample.values.length !== names.length) throw new ProtoError('a sample has more or fewer values than types');
      for (let j = 0; j < names.length; j++) {
        const name = names[j];
        if (name !== undefined) values[name] += sample.values[j] as number;
      }
      const stack = sample.locations.map((id) => {
        const location = locations.get(id);
        if (location === undefined) throw new ProtoError(`a sample has the unknown location ${id}`);
        return location;
      });
      const { inuseObjects, inuseSpace, allocObjects, allocSpace } = values;
      return { inuseObjects, inuseSpace, allocObjects, allocSpace, locations: stack, process: this.#process(sample) };
    });
    return {
      processes: [...this.#processes.values()],
      mappings: [...mappings.values()],
      locations: [...locations.values()],
      samples: built,
      warnings: this.warnings,
    };
  }

  #string(index: number): string {
    const text = this.#raw.strings[index];
    if (text === undefined && index !== 0) throw new ProtoError(`there is no string ${index}`);
    return text ?? '';
  }

  #comments(): void {
    for (const index of this.#raw.comments) {
      const comment = this.#string(index);
      if (!comment.startsWith(PROCESS_COMMENT)) {
        this.warnings.push(comment);
        continue;
      }
      const process = parseProcess(comment.slice(PROCESS_COMMENT.length));
      if (process !== null) this.#processes.set(process.id, process);
    }
  }

  #mappings(): Map<number, Mapping> {
    const mappings = new Map<number, Mapping>();
    for (const { id, start, limit, offset, file, buildId } of this.#raw.mappings) {
      mappings.set(id, { start, limit, offset, file: this.#string(file), buildId: this.#string(buildId) });
    }
    return mappings;
  }

  #locations(mappings: ReadonlyMap<number, Mapping>): Map<number, Location> {
    const locations = new Map<number, Location>();
    for (const { id, mapping: mappingId, address, lines } of this.#raw.locations) {
      const mapping = mappings.get(mappingId) ?? null;
      const frames = lines.map(({ function: functionId, line, column }): Frame => {
        const known = this.#raw.functions.get(functionId);
        if (known === undefined) throw new ProtoError(`a location has the unknown function ${functionId}`);
        return {
          function: this.#string(known.name),
          file: this.#string(known.file),
          line,
          ...(column > 0 ? { column } : {}),
          ...(known.startLine > 0 ? { startLine: known.startLine } : {}),
        };
      });
      const offset = mapping === null ? 0 : address - mapping.start + mapping.offset;
      locations.set(id, { address: address + 1, mapping, offset, frames });
    }
    return locations;
  }

  /** The process of a sample: by its labels, or the file itself. */
  #process(sample: RawSample): ProfiledProcess {
    const key = sample.labels.join(' ');
    let process = this.#labelled.get(key);
    if (process === undefined) {
      process = this.#labelledProcess(sample.labels);
      this.#labelled.set(key, process);
    }
    return process;
  }

  #labelledProcess(raw: readonly number[]): ProfiledProcess {
    const labels = new Map<string, string>();
    for (let i = 0; i < raw.length; i += 3) {
      const [key = 0, text = 0, number = 0] = raw.slice(i, i + 3);
      labels.set(this.#string(key), text === 0 ? `${number}` : this.#string(text));
    }
    const pid = Number(labels.get('pid') ?? 0) || 0;
    const id = labels.get('process') ?? (pid === 0 ? this.#path : `${this.#path}_${pid}`);
    let process = this.#processes.get(id);
    if (process === undefined) {
      const kind = labels.get('kind') ?? '';
      process = {
        ...UNKNOWN_PROCESS,
        id,
        pid,
        kind: KINDS.includes(kind) ? (kind as ProfiledProcess['kind']) : 'unknown',
        command: labels.get('command') ?? '',
        mode: this.#raw.period > 1 ? 'sampled' : 'exact',
        sampleInterval: this.#raw.period > 1 ? this.#raw.period : 0,
      };
      this.#processes.set(id, process);
    }
    return process;
  }
}

const UNKNOWN_PROCESS: ProfiledProcess = {
  id: '',
  pid: 0,
  parentPid: null,
  kind: 'unknown',
  command: '',
  mode: 'exact',
  sampleInterval: 0,
  changes: [],
  startTime: null,
  exit: null,
  versions: null,
  stacks: null,
  dumps: [],
};

/** A process from its comment; null when it is not as forkheap writes it. */
function parseProcess(json: string): ProfiledProcess | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const found = value as Record<string, unknown>;
  for (const [name, model] of Object.entries(UNKNOWN_PROCESS)) {
    const same =
      model === null || (typeof found[name] === typeof model && Array.isArray(found[name]) === Array.isArray(model));
    if (!same) return null;
  }
  const { parentPid, startTime, exit, versions, stacks } = found;
  const known = found as unknown as ProfiledProcess;
  return {
    ...known,
    parentPid: typeof parentPid === 'number' ? parentPid : null,
    startTime: typeof startTime === 'string' ? startTime : null,
    exit: typeof exit === 'object' ? (exit as ProfiledProcess['exit']) : null,
    versions: typeof versions === 'object' ? (versions as ProfiledProcess['versions']) : null,
    stacks: typeof stacks === 'object' ? (stacks as ProfiledProcess['stacks']) : null,
    dumps: known.dumps.filter((dump) => typeof dump === 'string'),
  };
}

/**
 * Parses pprof's profile.proto, compressed or not, of any program that writes memory profiles.
 *
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE when it is damaged or no memory profile, ERR_FORKHEAP_FILE_TOO_LARGE.
 * @since 0.1.0
 */
export function parsePprof(bytes: Uint8Array, options: { path?: string; maxBytes?: number } = {}): Profile {
  const { path = 'pprof profile', maxBytes = DEFAULT_MAX_BYTES } = options;
  const bad = (what: string, cause: unknown): ForkheapError =>
    new ForkheapError('ERR_FORKHEAP_BAD_FILE', `${path}:1: cannot read this file, ${what}.`, { path, line: 1, cause });
  if (bytes.length > maxBytes) throw tooLarge(path, bytes.length, maxBytes);
  let message = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      message = gunzipSync(bytes, { maxOutputLength: maxBytes });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(path, maxBytes, maxBytes);
      throw bad('its compression is damaged', cause);
    }
  }
  try {
    return new Builder(readRaw(message), path).build();
  } catch (cause) {
    if (cause instanceof ProtoError) throw bad(`it is not a pprof profile: ${cause.message}`, cause);
    throw cause;
  }
}
