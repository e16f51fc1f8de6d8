import type { Sample } from '../profile/model.js';
import { resolveLocation } from './resolve.js';

// Outermost functions of Node's threads; whatever they are called by is the C library's.
const MAIN = /^(_start|__libc_start\w*|main|node::Start)$/;
const WORKER = /^node::worker::Worker::/;
const PLATFORM = /^node::(\(anonymous namespace\)::)?(PlatformWorkerThread|WorkerThreadsTaskRunner)/;
const POOL_FILE = /\/threadpool\.c$/;
const THREAD_START = /^(start_thread|clone3?|__clone3?|__GI___clone\w*|thread_start)$/;

/** A thread whose stack does not say whose it is: gperftools keeps 32 frames, from the innermost on. */
export const UNKNOWN_THREAD = '(unknown: the stack is cut before it begins)';

const UNKNOWN = Symbol('nothing that tells a thread');
const NATIVE = Symbol('the start of a thread');

function told(name: string, file: string): string | typeof NATIVE | typeof UNKNOWN {
  if (MAIN.test(name)) return 'main thread';
  if (WORKER.test(name)) return 'worker threads';
  if (PLATFORM.test(name)) return 'V8 platform threads';
  if (name === 'worker' && POOL_FILE.test(file)) return 'libuv thread pool';
  return THREAD_START.test(name) ? NATIVE : UNKNOWN;
}

/**
 * The kind of thread that a sample was allocated in, as the outermost functions of its stack tell: the main thread, worker threads,
 * libuv's thread pool, V8's platform threads, or the threads of the package that started them.
 *
 * @param sample symbolized, with its internal frames.
 * @since 0.1.0
 */
export function sampleThread(sample: Sample): string {
  let started = false;
  // Whoever's code comes first behind the start of the thread, unless a package's comes.
  let owner = '';
  for (let i = sample.locations.length - 1; i >= 0; i--) {
    const frames = resolveLocation(sample.locations[i] as Sample['locations'][number]);
    for (let j = frames.length - 1; j >= 0; j--) {
      const { name, file, owner: whose, asks } = frames[j] as (typeof frames)[number];
      const thread = told(name, file);
      if (thread === NATIVE) {
        started = true;
      } else if (thread !== UNKNOWN) {
        return thread;
      } else if (started) {
        if (asks) return `threads of ${whose}`;
        if (owner === '') owner = whose;
      }
    }
  }
  return started && owner !== '' ? `threads of ${owner}` : UNKNOWN_THREAD;
}
