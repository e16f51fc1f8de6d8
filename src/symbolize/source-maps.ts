import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LEAST_UPPER_BOUND, originalPositionFor, TraceMap } from '@jridgewell/trace-mapping';
import type { Frame } from '../profile/model.js';

const COMMENT = /^[ \t]*\/\/[#@] *sourceMappingURL=(\S+)[ \t]*$/gm;
// Larger files are not what people write, and what bundlers write is not worth a minute's reading.
const MAX_BYTES = 64 * 2 ** 20;

function readText(path: string): string | null {
  try {
    const info = statSync(path);
    return info.isFile() && info.size <= MAX_BYTES ? readFileSync(path, 'utf8') : null;
  } catch {
    return null;
  }
}

function inlineText(url: string): string | null {
  const comma = url.indexOf(',');
  if (comma < 0) return null;
  const data = url.slice(comma + 1);
  try {
    return url.slice(0, comma).endsWith(';base64')
      ? Buffer.from(data, 'base64').toString('utf8')
      : decodeURIComponent(data);
  } catch {
    return null;
  }
}

/** The path that a source map's URL means, null for one that is no file. */
function filePath(url: string, folder: string): string | null {
  if (url.startsWith('file://')) {
    try {
      return fileURLToPath(url);
    } catch {
      return null;
    }
  }
  if (/^[a-z][a-z0-9+.-]+:/i.test(url)) return null;
  try {
    return resolve(folder, decodeURIComponent(url));
  } catch {
    return resolve(folder, url);
  }
}

/** The map of a script; null when it has none that can be read. */
function loadMap(script: string): TraceMap | null {
  const text = readText(script);
  if (text === null) return null;
  const url = [...text.matchAll(COMMENT)].at(-1)?.[1];
  if (url === undefined) return null;
  const path = url.startsWith('data:') ? script : filePath(url, dirname(script));
  const json = url.startsWith('data:') ? inlineText(url) : path === null ? null : readText(path);
  if (json === null || path === null) return null;
  try {
    return new TraceMap(json, pathToFileURL(path).href);
  } catch {
    return null;
  }
}

/** The place in the source that a place in a script was made from, counted from 1; null when there is none. */
function place(map: TraceMap, line: number, column = 1): { source: string; line: number; column: number } | null {
  const generated = { line, column: Math.max(column - 1, 0) };
  let found = originalPositionFor(map, generated);
  if (found.source === null) found = originalPositionFor(map, { ...generated, bias: LEAST_UPPER_BOUND });
  return found.source === null ? null : { source: found.source, line: found.line, column: found.column + 1 };
}

/** Looks up where code was written, in the source maps that lie beside scripts. Each is read at most once. */
export class SourceMaps {
  readonly #maps = new Map<string, TraceMap | null>();

  /** The frame with the places in the source that its script was made from; the frame itself where they are unknown. */
  original(frame: Frame): Frame {
    if (frame.line === 0 || !isAbsolute(frame.file)) return frame;
    let map = this.#maps.get(frame.file);
    if (map === undefined) {
      map = loadMap(frame.file);
      this.#maps.set(frame.file, map);
    }
    if (map === null) return frame;
    const found = place(map, frame.line, frame.column);
    if (found === null) return frame;
    const start = frame.startLine === undefined ? null : place(map, frame.startLine, frame.startColumn);
    return {
      function: frame.function,
      file: filePath(found.source, dirname(frame.file)) ?? found.source,
      line: found.line,
      column: found.column,
      // A function that begins in another file than it calls from is put together by a bundler.
      ...(start?.source === found.source ? { startLine: start.line, startColumn: start.column } : {}),
    };
  }
}
