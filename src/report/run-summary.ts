import type { ListedProcess } from './ls.js';
import { formatBytes, formatCount } from './units.js';

/**
 * The end of `forkheap run`: what there is, and what to type next.
 *
 * @param isAlive tells processes that go on from those that were killed.
 */
export function runSummary(
  processes: readonly ListedProcess[],
  path: string,
  ending: { status: number },
  isAlive: (pid: number) => boolean,
): string {
  const latest = processes.map(({ dumps }) => dumps.at(-1)).filter((dump) => dump !== undefined);
  const inuse = latest.reduce((sum, dump) => sum + dump.values.inuseSpace, 0);
  const files = processes.reduce((sum, { dumps }) => sum + dumps.length, 0);
  const size = processes.reduce((sum, { dumps }) => sum + dumps.reduce((bytes, dump) => bytes + dump.size, 0), 0);
  const running = processes.filter(({ process }) => process.exit === null && isAlive(process.pid));
  const silent = processes.filter((entry) => entry.dumps.length === 0 && !running.includes(entry)).length;
  const plural = (count: number, one: string, many: string): string =>
    `${formatCount(count)} ${count === 1 ? one : many}`;
  return [
    `forkheap: ended with status ${ending.status}; ${plural(processes.length, 'process', 'processes')} profiled, ${formatBytes(inuse)} in use at their last dumps`,
    ...(running.length > 0
      ? [
          `forkheap: ${plural(running.length, 'process is', 'processes are')} still running: ${running.map(({ process }) => process.pid).join(', ')}. forkheap dump asks for what it holds`,
        ]
      : []),
    ...(silent > 0
      ? [`forkheap: ${plural(silent, 'process has', 'processes have')} left no dump: killed before the first one`]
      : []),
    `forkheap: ${plural(files, 'file', 'files')}, ${formatBytes(size)}, under ${path}`,
    `forkheap: now run: forkheap top ${/[^\w./@%+=:,-]/.test(path) ? `'${path.replaceAll("'", "'\\''")}'` : path}`,
    '',
  ].join('\n');
}
