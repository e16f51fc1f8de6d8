import { gzipSync } from 'node:zlib';
import {
  Profile as Message,
  Function as MessageFunction,
  Line as MessageLine,
  Location as MessageLocation,
  Mapping as MessageMapping,
  Sample as MessageSample,
  StringTable,
  ValueType,
} from 'pprof-format';
import type { Frame, Location, Mapping, Profile, ProfiledProcess } from '../profile/model.js';
import { PROCESS_COMMENT } from '../profile/pprof.js';
import { ProtoWriter } from './proto-writer.js';

// Alloc before inuse, so that a reader that takes the last type takes inuse_space.
const TYPES = [
  ['alloc_objects', 'count'],
  ['alloc_space', 'bytes'],
  ['inuse_objects', 'count'],
  ['inuse_space', 'bytes'],
] as const;

// Numbers of profile.proto's fields.
const SAMPLE = 2;
const SAMPLE_LOCATIONS = 1;
const SAMPLE_VALUES = 2;

class Writer {
  readonly strings = new StringTable();
  readonly functions: MessageFunction[] = [];
  readonly locations: MessageLocation[] = [];
  readonly mappings: MessageMapping[] = [];
  readonly #functions = new Map<string, number>();
  readonly #locations = new Map<Location, number>();
  readonly #mappings = new Map<Mapping, number>();
  readonly #labels = new Map<ProfiledProcess, Uint8Array>();

  location(location: Location): number {
    let id = this.#locations.get(location);
    if (id === undefined) {
      id = this.locations.length + 1;
      this.#locations.set(location, id);
      const { mapping, offset, address, frames } = location;
      const line = frames.map(
        (frame) => new MessageLine({ functionId: this.#function(frame), line: frame.line, column: frame.column ?? 0 }),
      );
      // The call's address, not the one after it, in the mapping as it is written here: a merged location has several.
      const written =
        mapping === null ? (frames.length > 0 ? 0 : address - 1) : mapping.start + offset - mapping.offset;
      const mappingId = mapping === null ? 0 : this.#mapping(mapping);
      this.locations.push(new MessageLocation({ id, mappingId, address: Math.max(written, 0), line }));
    }
    return id;
  }

  /** A process's labels as the bytes that stand in each of its samples. */
  labels(process: ProfiledProcess): Uint8Array {
    let labels = this.#labels.get(process);
    if (labels === undefined) {
      const text = (key: string, value: string) => ({ key: this.strings.dedup(key), str: this.strings.dedup(value) });
      const label = [
        // A number, for -tagfocus=pid=123.
        { key: this.strings.dedup('pid'), num: process.pid },
        text('kind', process.kind),
        ...(process.command === '' ? [] : [text('command', process.command)]),
        text('process', process.id),
      ];
      labels = new MessageSample({ label }).encode();
      this.#labels.set(process, labels);
    }
    return labels;
  }

  #function(frame: Frame): number {
    const startLine = frame.startLine ?? 0;
    const key = `${frame.function}\0${frame.file}\0${startLine}`;
    let id = this.#functions.get(key);
    if (id === undefined) {
      id = this.functions.length + 1;
      this.#functions.set(key, id);
      const name = this.strings.dedup(frame.function);
      this.functions.push(
        new MessageFunction({ id, name, systemName: name, filename: this.strings.dedup(frame.file), startLine }),
      );
    }
    return id;
  }

  #mapping(mapping: Mapping): number {
    let id = this.#mappings.get(mapping);
    if (id === undefined) {
      id = this.mappings.length + 1;
      this.#mappings.set(mapping, id);
      this.mappings.push(
        new MessageMapping({
          id,
          memoryStart: mapping.start,
          memoryLimit: mapping.limit,
          fileOffset: mapping.offset,
          filename: this.strings.dedup(mapping.file),
          buildId: this.strings.dedup(mapping.buildId),
          // Readers need not look for the files.
          hasFunctions: true,
          hasFilenames: true,
          hasLineNumbers: true,
          hasInlineFrames: true,
        }),
      );
    }
    return id;
  }
}

/**
 * All samples, as fields of the message: its library takes ten times as long, because it makes an object of every label of every
 * sample.
 */
function sampleFields(profile: Profile, writer: Writer): Uint8Array {
  const fields = new ProtoWriter();
  const sample = new ProtoWriter();
  for (const { locations, process, allocObjects, allocSpace, inuseObjects, inuseSpace } of profile.samples) {
    sample.clear();
    sample.numbers(
      SAMPLE_LOCATIONS,
      locations.map((location) => writer.location(location)),
    );
    sample.numbers(SAMPLE_VALUES, [allocObjects, allocSpace, inuseObjects, inuseSpace].map(Math.round));
    sample.raw(writer.labels(process));
    fields.message(SAMPLE, sample.end());
  }
  return fields.end();
}

/**
 * The profile as pprof's profile.proto, compressed: for `go tool pprof`, Pyroscope, Parca. Symbolized if the profile is; every
 * sample has the labels `pid`, `kind` and `command`; the comments describe the processes, so that {@link parsePprof} gets all back.
 *
 * @since 0.1.0
 */
export function toPprof(profile: Profile): Uint8Array {
  const writer = new Writer();
  const { strings } = writer;
  const type = ([name, unit]: readonly [string, string]): ValueType =>
    new ValueType({ type: strings.dedup(name), unit: strings.dedup(unit) });
  const sampleType = TYPES.map(type);
  const samples = sampleFields(profile, writer);
  const intervals = profile.processes.map((process) => process.sampleInterval);
  const started = profile.processes.map(({ startTime }) => Date.parse(startTime ?? '')).filter(Number.isFinite);
  const comments = [
    ...profile.processes.map((process) => `${PROCESS_COMMENT}${JSON.stringify(process)}`),
    ...profile.warnings,
  ];
  const message = new Message({
    sampleType,
    mapping: writer.mappings,
    location: writer.locations,
    function: writer.functions,
    stringTable: strings,
    timeNanos: started.length === 0 ? 0 : BigInt(Math.min(...started)) * 1_000_000n,
    periodType: type(['space', 'bytes']),
    period: Math.max(1, ...intervals.map(Math.round)),
    comment: comments.map((comment) => strings.dedup(comment)),
    defaultSampleType: strings.dedup('inuse_space'),
  });
  // Messages that follow each other are one: repeated fields add up.
  return gzipSync(Buffer.concat([message.encode(), samples]), { level: 6 });
}
