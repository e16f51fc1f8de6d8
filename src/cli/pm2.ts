import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The pid of pm2's daemon when one runs that forkheap has not started; null when there is none. */
export function daemonWithoutForkheap(env: NodeJS.ProcessEnv): number | null {
  const home = env.PM2_HOME || join(homedir(), '.pm2');
  try {
    const pid = Number(readFileSync(join(home, 'pm2.pid'), 'utf8'));
    // The kernel's record of how it was started; it is gone with the process.
    const started = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return started.some((entry) => entry.startsWith('FORKHEAP_PREFIX=')) ? null : pid;
  } catch {
    return null;
  }
}
