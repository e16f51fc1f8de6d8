import { posix } from 'node:path';
import type { Location } from '../profile/model.js';

const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;
const LIBC = /^(libc|libpthread|libm|libdl|librt|libresolv|libnss_\w+|ld-linux-x86-64)[.-]/;

/** The npm package that a file belongs to (the innermost `node_modules`), null when to none. */
export function packageOf(file: string): string | null {
  return PACKAGE.exec(file)?.[1] ?? null;
}

/** Who a mapped file belongs to: an npm package, `node`, `libc`, or the program or library by its own name. */
export function ownerOfFile(file: string): string {
  const found = packageOf(file);
  if (found !== null) return found;
  const name = posix.basename(file);
  if (name === 'node' || name === 'nodejs') return 'node';
  if (LIBC.test(name)) return 'libc';
  return name.replace(/\.so(\.\d+)*$/, '').replace(/\.node$/, '');
}

/** Who a location belongs to, by the file mapped there. */
export function ownerOf(location: Location): string {
  if (location.mapping === null) return '[no mapping]';
  return ownerOfFile(location.mapping.file);
}

/** Like {@link packageOf} for a location; code that a package's header put into another file counts for that package. */
export function packageOfLocation(location: Location): string | null {
  const mapped = location.mapping === null ? null : packageOf(location.mapping.file);
  if (mapped !== null) return mapped;
  for (const frame of location.frames) {
    const found = packageOf(frame.file);
    // Headers that every addon includes speak for the addon that was built, not for themselves.
    if (found !== null && found !== 'node-addon-api' && found !== 'nan') return found;
  }
  return null;
}
