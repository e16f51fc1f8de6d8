// Status 0 when the packages in node_modules are those of package-lock.json.
//
//   node scripts/npm-packages-complete.mjs DIR
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const dir = process.argv[2] ?? '.';

function lockedPackages(file) {
  try {
    return JSON.parse(readFileSync(join(dir, file), 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

const wanted = lockedPackages('package-lock.json');
const installed = lockedPackages('node_modules/.package-lock.json');
const complete =
  wanted !== null &&
  installed !== null &&
  Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' || (entry.optional && !(path in installed)) || installed[path]?.version === entry.version,
  );
process.exit(complete ? 0 : 1);
