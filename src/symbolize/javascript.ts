import { fileURLToPath } from 'node:url';
import type { ManifestCode } from '../capture/manifest.js';
import { parseCodeAddress } from '../profile/code-address.js';
import type { Frame } from '../profile/model.js';

const KIND = /^([A-Za-z]+):/;
const POSITION = /:(\d+):(\d+)$/;
// Function names have spaces ("get x", "bound f"), and so have folders: a script's name is known by how it begins.
const SCRIPT = / (?=\/|file:\/\/|node:|evalmachine\.|\[eval|https?:\/\/|wasm:\/\/|data:)/;
const FUNCTIONS = new Set(['LazyCompile', 'Function', 'JS', 'Script', 'Eval']);

/** A script's name as a path where it is one. */
function scriptPath(script: string): string {
  if (!script.startsWith('file://')) return script;
  try {
    return fileURLToPath(script);
  } catch {
    return script;
  }
}

/**
 * Parses a name as V8's code events give it: `JS:~handleRequest /srv/app/server.js:3:23`, `Builtin:ArrayMap`, `RegExp:a+`.
 * Builtins and code of WebAssembly and regular expressions keep their kind in the function's name.
 */
export function parseCodeName(name: string): Frame {
  const kind = KIND.exec(name)?.[1] ?? '';
  if (kind === 'Builtin' || kind === 'BytecodeHandler' || kind === 'Stub') {
    return { function: `Builtins_${name.slice(kind.length + 1)}`, file: '', line: 0 };
  }
  if (!FUNCTIONS.has(kind)) return { function: name, file: '', line: 0 };
  const text = name.slice(kind.length + 1).replace(/^(o?[+*]'?|[~^])/, '');
  const [position = '', line = '0', column = '0'] = POSITION.exec(text) ?? [];
  const rest = text.slice(0, text.length - position.length);
  const found = SCRIPT.exec(rest);
  const at = found === null ? rest.lastIndexOf(' ') : found.index;
  const known = at >= 0 ? rest.slice(0, at) : rest;
  const file = at >= 0 ? scriptPath(rest.slice(at + 1)) : '';
  return {
    function: known === '' ? '(anonymous)' : known,
    file,
    line: Number(line),
    ...(Number(column) > 0 ? { column: Number(column) } : {}),
  };
}

/** A function's frame; at `line` and `column` where these are known. */
function functionFrame(name: string, line?: number, column?: number): Frame {
  const frame = parseCodeName(name);
  const start = {
    ...(frame.line > 0 ? { startLine: frame.line } : {}),
    ...(frame.column === undefined ? {} : { startColumn: frame.column }),
  };
  return { ...frame, ...start, ...(line ? { line } : {}), ...(line && column ? { column } : {}) };
}

/**
 * The frames of a manifest's JavaScript functions, by the addresses that stand for them; innermost first where one was inlined. What
 * cannot be read is left out.
 */
export function codeFrames(code: readonly ManifestCode[]): Map<number, readonly Frame[]> {
  const frames = new Map<number, readonly Frame[]>();
  for (const { address, name, line, column, inlinedIn } of code) {
    const number = parseCodeAddress(address);
    if (number === null) continue;
    const around = inlinedIn === undefined ? [] : [functionFrame(inlinedIn)];
    frames.set(number, [functionFrame(name, line, column), ...around]);
  }
  return frames;
}
