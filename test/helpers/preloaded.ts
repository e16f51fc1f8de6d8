import { heapProfileEnv } from 'forkheap';
import type { Test } from 'tap';
import { type ProcessOptions, runProcess } from './process.js';

/** A script for Node, in CommonJS unless it imports. */
export function script(code: string): string[] {
  const dialect = /^\s*import /m.test(code) ? ['--input-type=module'] : [];
  return [process.execPath, ...dialect, '-e', code];
}

/** What comes before a script that calls the API: `leaky`, `api`, and `codeOf(f)`, the error code that f throws. */
const prelude = `
  const { leaky } = require('./test/fixtures/programs/leaky.cjs');
  const api = require('forkheap');
  const prefix = process.env.PREFIX;
  const codeOf = (f) => {
    try {
      f();
      return null;
    } catch (error) {
      if (!(error instanceof api.ForkheapError)) throw error;
      return error.code;
    }
  };
`;

/**
 * Runs a script that calls the API in a process that is preloaded, but does not start a profile by itself. It finds its prefix in
 * `prefix`, and prints one line of JSON, which is returned. Nothing may be on stderr.
 */
export async function callApi<T>(t: Test, prefix: string, code: string, options: ProcessOptions = {}): Promise<T> {
  const env = { ...heapProfileEnv({ prefix: '/unused/prefix', autoStart: false }, {}), PREFIX: prefix, ...options.env };
  const result = await runProcess(t, script(prelude + code), { ...options, env });
  if (result.code !== 0 || result.stderr !== '') throw new Error(`ended with ${result.code}: ${result.stderr}`);
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as T;
}
