// Clean work of Node and of well-kept addons: no leak check may raise an alarm at it.
//
// Each workload is made once, `run` is one call of it, and `close` ends it. `calls` is how many make a round of about a tenth
// of a second.
import { addons } from './addons.mjs';
import { node } from './node.mjs';

/** @type {Record<string, { calls: number, open(): Promise<{ run(): unknown, close?(): unknown }> }>} */
export const workloads = { ...node, ...addons };
