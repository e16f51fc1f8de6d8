import { stat } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';

type Collect = () => void;

let exposed: Collect | undefined;

/** A full garbage collection: `globalThis.gc`, or the same of a process that was started without --expose-gc. */
export function collector(): Collect {
  const own = (globalThis as { gc?: unknown }).gc;
  if (typeof own === 'function') return () => own();
  if (exposed === undefined) {
    v8.setFlagsFromString('--expose-gc');
    // Only contexts made from now on have it.
    exposed = vm.runInNewContext('gc') as Collect;
    v8.setFlagsFromString('--no-expose-gc');
  }
  return exposed;
}

/** The threads of libuv's pool, which has 4 unless told otherwise. */
function poolSize(): number {
  const size = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? '', 10);
  return Number.isNaN(size) ? 4 : Math.min(Math.max(size, 1), 64);
}

/**
 * Lets go of what nobody needs: collects garbage, and gives finalizers and the jobs of libuv's pool the turns of the event loop in
 * which they free. Twice, for what finalizers have let go of.
 */
export async function settle(collect: Collect): Promise<void> {
  for (let pass = 0; pass < 2; pass++) {
    // As many jobs as threads: what was queued before them has been taken up by then.
    await Promise.all(Array.from({ length: poolSize() }, () => stat('/')));
    collect();
    for (let i = 0; i < 3; i++) await turn();
  }
}
