import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '#root';

/**
 * The folder of the native parts: `prebuilds/<platform>-<arch>` in an installed package, which also brings its own gperftools;
 * else where node-gyp builds them.
 */
export function nativeParts(root = packageRoot): string {
  const prebuilt = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
  return existsSync(prebuilt) ? prebuilt : join(root, 'build', 'Release');
}

/** What to do when one of them is missing. */
export function howToRestore(root = packageRoot): string {
  return existsSync(join(root, 'binding.gyp'))
    ? `run \`npm run build\` in ${root}`
    : 'install the package again (`npm install forkheap`)';
}
