import { ProtoReader } from './proto-reader.js';

/** A sample as it stands in the file. */
export interface RawSample {
  locations: number[];
  values: number[];
  /** Of each label its key, text and number. */
  labels: number[];
}

interface RawLocation {
  id: number;
  mapping: number;
  address: number;
  lines: { function: number; line: number; column: number }[];
}

/** The message as it stands in the file: strings are indices. */
export interface RawProfile {
  sampleTypes: number[];
  /** Bytes of each sample; there are so many that they are read one at a time, at the end. */
  samples: { message: Uint8Array; ends: number[]; lengths: number[] };
  mappings: { id: number; start: number; limit: number; offset: number; file: number; buildId: number }[];
  locations: RawLocation[];
  functions: Map<number, { name: number; file: number; startLine: number }>;
  strings: string[];
  period: number;
  comments: number[];
}

/** Reads a message whose fields are all numbers, by the numbers of the fields; 0 where one is missing. */
function numberFields(bytes: Uint8Array, last: number): number[] {
  const result = new Array<number>(last + 1).fill(0);
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field <= last && reader.isNumber) result[reader.field] = reader.number();
    else reader.skip();
  }
  return result;
}

/** Reads one of {@link RawProfile.samples}. */
export function readSample(bytes: Uint8Array): RawSample {
  const sample: RawSample = { locations: [], values: [], labels: [] };
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) reader.numbers(sample.locations);
    else if (reader.field === 2) reader.numbers(sample.values);
    else if (reader.field === 3) {
      const [, key = 0, text = 0, number = 0] = numberFields(reader.bytes(), 3);
      sample.labels.push(key, text, number);
    } else reader.skip();
  }
  return sample;
}

function readLocation(bytes: Uint8Array): RawLocation {
  const location: RawLocation = { id: 0, mapping: 0, address: 0, lines: [] };
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) location.id = reader.number();
    else if (reader.field === 2) location.mapping = reader.number();
    else if (reader.field === 3) location.address = reader.number();
    else if (reader.field === 4) {
      const [, functionId = 0, line = 0, column = 0] = numberFields(reader.bytes(), 3);
      location.lines.push({ function: functionId, line, column });
    } else reader.skip();
  }
  return location;
}

/** Reads a message of profile.proto. */
export function readRaw(bytes: Uint8Array): RawProfile {
  const raw: RawProfile = {
    sampleTypes: [],
    samples: { message: bytes, ends: [], lengths: [] },
    mappings: [],
    locations: [],
    functions: new Map(),
    strings: [],
    period: 0,
    comments: [],
  };
  const decoder = new TextDecoder();
  const reader = new ProtoReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) raw.sampleTypes.push(numberFields(reader.bytes(), 1)[1] as number);
    else if (reader.field === 2) {
      raw.samples.lengths.push(reader.bytes().length);
      raw.samples.ends.push(reader.position);
    } else if (reader.field === 3) {
      const [, id = 0, start = 0, limit = 0, offset = 0, file = 0, buildId = 0] = numberFields(reader.bytes(), 6);
      raw.mappings.push({ id, start, limit, offset, file, buildId });
    } else if (reader.field === 4) raw.locations.push(readLocation(reader.bytes()));
    else if (reader.field === 5) {
      const [, id = 0, name = 0, , file = 0, startLine = 0] = numberFields(reader.bytes(), 5);
      raw.functions.set(id, { name, file, startLine });
    } else if (reader.field === 6) raw.strings.push(decoder.decode(reader.bytes()));
    else if (reader.field === 12) raw.period = reader.number();
    else if (reader.field === 13) reader.numbers(raw.comments);
    else reader.skip();
  }
  return raw;
}
