import { readFileSync } from 'node:fs';
import type { Manifest, ManifestMapping } from '../capture/manifest.js';
import { ForkheapError } from '../errors.js';
import type { Mapping } from '../profile/model.js';

type Check = (value: unknown) => boolean;

const isString: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isStrings: Check = (value) => Array.isArray(value) && value.every(isString);
const isOneOf =
  (...allowed: string[]): Check =>
  (value) =>
    allowed.includes(value as string);
const isMode = isOneOf('exact', 'sampled');
const isMapping: Check = (value) =>
  isObject(value) && ['start', 'limit', 'offset', 'file', 'buildId'].every((key) => isString(value[key]));
const orMissing =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const isCode: Check = (value) =>
  isObject(value) &&
  isString(value.address) &&
  isString(value.name) &&
  [value.line, value.column].every(orMissing(isNumber)) &&
  orMissing(isString)(value.inlinedIn);

const isCheck: Check = (value) =>
  isObject(value) &&
  isString(value.name) &&
  (value.dump === null || isString(value.dump)) &&
  isNumber(value.bytes) &&
  isNumber(value.objects) &&
  (value.error === null || (isObject(value.error) && isString(value.error.code) && isString(value.error.message)));
const isLeakCheck: Check = (value) =>
  isObject(value) && isString(value.mode) && Array.isArray(value.checks) && value.checks.every(isCheck);
const isWay: Check = (value) => isObject(value) && isMode(value.mode) && isNumber(value.sampleInterval);
const isChange: Check = (value) =>
  isObject(value) &&
  isString(value.time) &&
  isWay(value.from) &&
  isWay(value.to) &&
  isNumber(value.overhead) &&
  (value.dump === null || isString(value.dump));

const FIELDS: Record<keyof Manifest, Check> = {
  forkheap: isString,
  pid: isNumber,
  parentPid: isNumber,
  kind: isOneOf('root', 'fork', 'child', 'cluster-worker'),
  startTime: isString,
  profileTime: isString,
  argv: isStrings,
  cwd: isString,
  program: isString,
  nodeVersion: isString,
  gperftools: isString,
  mode: isMode,
  sampleInterval: isNumber,
  dumps: isStrings,
  mappings: (value) => Array.isArray(value) && value.every(isMapping),
  stacks: isNumber,
  truncatedStacks: isNumber,
  exit: (value) => value === null || isObject(value),
  leakCheck: (value) => value === undefined || isLeakCheck(value),
  // What an older forkheap wrote has none of these.
  guessedStacks: (value) => value === undefined || isNumber(value),
  maxOverhead: (value) => value === undefined || isNumber(value),
  changes: (value) => value === undefined || (Array.isArray(value) && value.every(isChange)),
  code: (value) => value === undefined || (Array.isArray(value) && value.every(isCode)),
};

/** Parses a manifest's text; null when the JSON in it is no manifest of ours. */
export function parseManifest(text: string, path: string): Manifest | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = text === '' ? 'it is empty' : 'it is not JSON';
    throw bad(path, reason, cause);
  }
  // Another program's file may have a name like ours.
  if (!isObject(value) || !isString(value.forkheap)) return null;
  for (const [name, check] of Object.entries(FIELDS)) {
    if (!check(value[name])) throw bad(path, `"${name}" is missing or not what forkheap writes`);
  }
  return value as unknown as Manifest;
}

function bad(path: string, reason: string, cause?: unknown): ForkheapError {
  const message = `${path}: cannot read this manifest, ${reason}. Delete it to read the dumps without it.`;
  return new ForkheapError('ERR_FORKHEAP_BAD_FILE', message, { path, cause });
}

/**
 * Reads a manifest.
 *
 * @returns null when the file is not one of forkheap's.
 * @throws ForkheapError ERR_FORKHEAP_BAD_FILE when it is damaged.
 */
export function readManifest(path: string): Manifest | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw bad(path, (cause as NodeJS.ErrnoException).code ?? 'it cannot be read', cause);
  }
  return parseManifest(text, path);
}

/** A manifest's mapping in the model's terms. */
export function toMapping({ start, limit, offset, file, buildId }: ManifestMapping): Mapping {
  return { start: Number(start), limit: Number(limit), offset: Number(offset), file, buildId };
}
