import { join } from 'node:path';

/** The package's folder, as the CommonJS build sees it (lib/cjs/root.cjs). */
export const packageRoot = join(__dirname, '..', '..');
