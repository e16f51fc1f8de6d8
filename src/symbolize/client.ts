import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ForkheapError } from '../errors.js';
import { howToRestore, nativeParts } from '../native-parts.js';
import type { Frame } from '../profile/model.js';

/** The addresses wanted in one file. */
export interface ModuleRequest {
  path: string;
  /** Empty: any build of the file will do. */
  buildId: string;
  offsets: readonly number[];
}

/** What the symbolizer said about one file. */
export interface ModuleAnswer {
  /** Why nothing in this file has a name; null when the file was read. */
  reason: string | null;
  /** Frames of each offset, innermost first; empty: no symbol. */
  frames: readonly (readonly Frame[])[];
}

/** Where the symbolizer is: FORKHEAP_SYMBOLIZER, or the one of this package. */
export function symbolizerPath(env: NodeJS.ProcessEnv = process.env): string {
  return env.FORKHEAP_SYMBOLIZER || join(nativeParts(), 'forkheap-symbolizer');
}

const escapeField = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');

const unescapeField = (text: string): string =>
  text.includes('\\')
    ? text.replace(/\\(.)/g, (_, char: string) => (char === 't' ? '\t' : char === 'n' ? '\n' : char))
    : text;

/** The requests in the symbolizer's line protocol (native/symbolizer/protocol.h). */
function encode(requests: readonly ModuleRequest[]): string {
  const lines: string[] = [];
  for (const { path, buildId, offsets } of requests) {
    lines.push(`M\t${buildId || '-'}\t${escapeField(path)}\n`);
    for (const offset of offsets) lines.push(`A\t${offset.toString(16)}\n`);
  }
  return lines.join('');
}

function decode(text: string, requests: readonly ModuleRequest[]): ModuleAnswer[] {
  const answers: { reason: string | null; frames: Frame[][] }[] = [];
  let frames: Frame[] = [];
  for (const line of text.split('\n')) {
    const [tag, first = '', second = '', third = ''] = line.split('\t');
    if (tag === 'M') {
      answers.push({ reason: first === 'ok' ? null : unescapeField(second), frames: [] });
    } else if (tag === 'F') {
      frames.push({ function: unescapeField(first), file: unescapeField(second), line: Number(third) });
    } else if (tag === '.') {
      answers.at(-1)?.frames.push(frames);
      frames = [];
    }
  }
  const complete = requests.every((request, i) => answers[i]?.frames.length === request.offsets.length);
  if (!complete) throw failed('it gave no complete answer');
  return answers;
}

function failed(reason: string, cause?: unknown): ForkheapError {
  const message = `Functions have no names: the symbolizer ${symbolizerPath()} failed, ${reason}.`;
  return new ForkheapError('ERR_FORKHEAP_SYMBOLIZER', message, { path: symbolizerPath(), cause });
}

function requireSymbolizer(): string {
  const path = symbolizerPath();
  if (existsSync(path)) return path;
  const message = `Functions have no names: the symbolizer ${path} is missing: ${howToRestore()}.`;
  throw new ForkheapError('ERR_FORKHEAP_SYMBOLIZER', message, { path });
}

/** It must not be profiled, nor preloaded with anything, and a look-up must not turn into a download. */
function symbolizerEnvironment(): NodeJS.ProcessEnv {
  const { LD_PRELOAD: _preload, HEAPCHECK: _check, HEAPPROFILE: _prefix, DEBUGINFOD_URLS: _urls, ...env } = process.env;
  // The preload library would add it again.
  return { ...env, FORKHEAP_DISABLE: '1' };
}

/**
 * As {@link runSymbolizer}, while everything waits.
 *
 * @throws ForkheapError ERR_FORKHEAP_SYMBOLIZER when it is missing or fails.
 */
export function runSymbolizerSync(requests: readonly ModuleRequest[]): ModuleAnswer[] {
  const { status, signal, stdout, stderr, error } = spawnSync(requireSymbolizer(), [], {
    env: symbolizerEnvironment(),
    input: encode(requests),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  if (error !== undefined) throw failed(error.message, error);
  if (status !== 0) throw failed(stderr.trim() || (signal ? `ended by ${signal}` : `exit status ${status}`));
  return decode(stdout, requests);
}

/**
 * Asks the symbolizer about every file at once.
 *
 * @throws ForkheapError ERR_FORKHEAP_SYMBOLIZER when it is missing or fails.
 */
export async function runSymbolizer(requests: readonly ModuleRequest[]): Promise<ModuleAnswer[]> {
  const path = requireSymbolizer();
  return new Promise((resolve, reject) => {
    const env = symbolizerEnvironment();
    const child = spawn(path, [], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString();
    });
    child.on('error', (cause) => reject(failed(cause.message, cause)));
    // EPIPE: it ended early, and its exit status says so better.
    child.stdin.on('error', () => {});
    child.on('close', (code, signal) => {
      if (code !== 0) {
        reject(failed(complaint.trim() || (signal ? `ended by ${signal}` : `exit status ${code}`)));
        return;
      }
      try {
        resolve(decode(Buffer.concat(output).toString('utf8'), requests));
      } catch (error) {
        reject(error);
      }
    });
    child.stdin.end(encode(requests));
  });
}
