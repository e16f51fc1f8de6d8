import { join } from 'node:path';
import { packageRoot } from '#root';
import { readSuppressions, type Suppression } from './suppressions.js';

/** The suppressions that come with forkheap. */
export const builtinSuppressionsFile = join(packageRoot, 'suppressions', 'node.supp');

let known: readonly Suppression[] | undefined;

/** What is known to be allocated once and never freed, in Node and in libraries that addons bring along. */
export function builtinSuppressions(): readonly Suppression[] {
  known ??= readSuppressions(builtinSuppressionsFile);
  return known;
}
