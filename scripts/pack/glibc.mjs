// The newest symbol versions that ELF files ask for, and so the oldest glibc and libstdc++ that they run on.
//
//   node scripts/pack/glibc.mjs FOLDER     prints them for each file; status 1 when one needs more than the limits
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What the package promises: glibc 2.31 is Debian 11's and Ubuntu 20.04's; GCC 8's libstdc++ is older than both. */
export const limits = { GLIBC: '2.31', GLIBCXX: '3.4.28', CXXABI: '1.3.12' };

const compare = (a, b) => {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let i = 0; i < Math.max(left.length, right.length); ++i) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

function isElf(file) {
  const magic = Buffer.alloc(4);
  const descriptor = openSync(file, 'r');
  try {
    return readSync(descriptor, magic, 0, 4, 0) === 4 && magic.toString('latin1') === '\x7fELF';
  } finally {
    closeSync(descriptor);
  }
}

/** `{ GLIBC: '2.29', … }`: the newest version of each kind that a file asks for. */
export function newestVersions(file) {
  const symbols = execFileSync('objdump', ['-T', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const newest = {};
  for (const line of symbols.split('\n')) {
    if (!line.includes('*UND*')) continue;
    const match = /\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\)/.exec(line);
    if (match === null) continue;
    const [, kind, version] = match;
    if (newest[kind] === undefined || compare(version, newest[kind]) > 0) newest[kind] = version;
  }
  return newest;
}

/** The versions of every ELF file below a folder, and of all together. */
export function survey(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(isElf)
    .sort();
  const rows = files.map((file) => ({ file: relative(folder, file), newest: newestVersions(file) }));
  const all = {};
  for (const { newest } of rows) {
    for (const [kind, version] of Object.entries(newest)) {
      if (all[kind] === undefined || compare(version, all[kind]) > 0) all[kind] = version;
    }
  }
  const tooNew = rows.filter(({ newest }) =>
    Object.entries(newest).some(([kind, version]) => compare(version, limits[kind]) > 0),
  );
  return { rows, all, tooNew };
}

const text = (newest) => Object.entries(newest).map(([kind, version]) => `${kind}_${version}`);

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { rows, all, tooNew } = survey(process.argv[2] ?? '.');
  for (const { file, newest } of rows) console.log([file, ...text(newest)].join(' '));
  console.log(['all:', ...text(all)].join(' '));
  for (const { file } of tooNew) console.error(`forkheap: ${file} needs more than ${text(limits).join(', ')}`);
  process.exitCode = tooNew.length === 0 ? 0 : 1;
}
