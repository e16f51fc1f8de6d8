import { posix } from 'node:path';
import { ForkheapError } from '../errors.js';
import { mappingKey } from '../profile/merge.js';
import type { Location, Profile } from '../profile/model.js';
import { type ModuleAnswer, type ModuleRequest, runSymbolizer, runSymbolizerSync } from './client.js';
import { SourceMaps } from './source-maps.js';

/** Why locations of one file have no name. */
export interface Unsymbolized {
  /** The file; empty for addresses outside every mapping. */
  readonly file: string;
  readonly reason: string;
  readonly locations: number;
}

/** What {@link symbolize} did. */
export interface SymbolizeResult {
  readonly symbolized: number;
  readonly unsymbolized: readonly Unsymbolized[];
  /** Set when the symbolizer itself is missing or failed; the profile can still be reported, with hexadecimal names. */
  readonly error: ForkheapError | null;
}

interface Module {
  request: ModuleRequest;
  locations: Location[][];
}

/** The locations without frames, by file and offset: each is asked for once, however many profiles it stands in. */
function collect(locations: readonly Location[]): Module[] {
  const modules = new Map<string, { module: Module; offsets: Map<number, Location[]> }>();
  for (const location of locations) {
    const { mapping, offset } = location;
    if (mapping === null || location.frames.length > 0 || !mapping.file.startsWith('/')) continue;
    const key = mappingKey(mapping);
    let entry = modules.get(key);
    if (entry === undefined) {
      const request = { path: mapping.file, buildId: mapping.buildId, offsets: [] };
      entry = { module: { request, locations: [] }, offsets: new Map() };
      modules.set(key, entry);
    }
    const same = entry.offsets.get(offset);
    if (same === undefined) entry.offsets.set(offset, [location]);
    else same.push(location);
  }
  return [...modules.values()].map(({ module, offsets }) => ({
    request: { ...module.request, offsets: [...offsets.keys()] },
    locations: [...offsets.values()],
  }));
}

/** Counts what is left without a name, file by file. */
function summarize(profile: Profile, reasons: ReadonlyMap<string, string>): SymbolizeResult {
  const missing = new Map<string, { file: string; reason: string; locations: number }>();
  let symbolized = 0;
  for (const { frames, mapping } of profile.locations) {
    if (frames.length > 0) {
      symbolized++;
      continue;
    }
    const file = mapping?.file ?? '';
    let reason = 'no symbol there';
    if (mapping === null) reason = 'outside every mapped file (code made at run time)';
    else reason = reasons.get(mappingKey(mapping)) ?? reason;
    const known = missing.get(`${file}\0${reason}`) ?? { file, reason, locations: 0 };
    known.locations++;
    missing.set(`${file}\0${reason}`, known);
  }
  const unsymbolized = [...missing.values()].sort((a, b) => b.locations - a.locations);
  return { symbolized, unsymbolized, error: null };
}

/** JavaScript functions have their frames already; source maps tell where they were written. */
function mapSources(locations: readonly Location[]): void {
  const maps = new SourceMaps();
  for (const location of locations) {
    if (location.mapping === null) location.frames = location.frames.map((frame) => maps.original(frame));
  }
}

/** Puts the symbolizer's answers where they belong. */
function apply(modules: readonly Module[], answers: readonly ModuleAnswer[], reasons: Map<string, string>): void {
  for (const [i, { request, locations }] of modules.entries()) {
    const answer = answers[i];
    if (answer === undefined) continue;
    if (answer.reason !== null) reasons.set(request.buildId || request.path, answer.reason);
    for (const [j, same] of locations.entries()) {
      const frames = (answer.frames[j] ?? []).map((frame) => ({
        ...frame,
        file: frame.file === '' ? '' : posix.normalize(frame.file),
      }));
      for (const location of same) location.frames = frames;
    }
  }
}

/** A symbolizer that failed leaves addresses without names, and is no exception. */
function without(profile: Profile, modules: readonly Module[], cause: unknown): SymbolizeResult {
  if (!(cause instanceof ForkheapError)) throw cause;
  const reasons = new Map(
    modules.map(({ request }) => [request.buildId || request.path, 'the symbolizer did not run'] as const),
  );
  return { ...summarize(profile, reasons), error: cause };
}

/**
 * Gives each location of `profile` its frames, as far as the files it was mapped from are here and are the same builds.
 * JavaScript functions get the place in their source, where a source map lies beside the script.
 *
 * @returns what was named and what was not. A missing symbolizer is no exception: see `error` (ERR_FORKHEAP_SYMBOLIZER).
 * @since 0.1.0
 */
export async function symbolize(profile: Profile): Promise<SymbolizeResult> {
  mapSources(profile.locations);
  const modules = collect(profile.locations);
  const reasons = new Map<string, string>();
  try {
    if (modules.length > 0) apply(modules, await runSymbolizer(modules.map(({ request }) => request)), reasons);
  } catch (cause) {
    return without(profile, modules, cause);
  }
  return { ...summarize(profile, reasons), error: null };
}

/** As {@link symbolize}, while everything waits. */
export function symbolizeSync(profile: Profile): SymbolizeResult {
  mapSources(profile.locations);
  const modules = collect(profile.locations);
  const reasons = new Map<string, string>();
  try {
    if (modules.length > 0) apply(modules, runSymbolizerSync(modules.map(({ request }) => request)), reasons);
  } catch (cause) {
    return without(profile, modules, cause);
  }
  return { ...summarize(profile, reasons), error: null };
}
