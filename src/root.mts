import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's folder, as the ES module build sees it (lib/root.mjs). */
export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..');
