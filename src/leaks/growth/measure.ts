import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { ManifestCode } from '../../capture/manifest.js';
import { nativeOptions } from '../../capture/options.js';
import { ForkheapError } from '../../errors.js';
import { check, native } from '../../native.js';
import type { Profile } from '../../profile/model.js';
import { codeFrames } from '../../symbolize/javascript.js';
import { SAMPLES_NEEDED } from './judge.js';
import type { CheckedLeakOptions } from './options.js';
import { collector, settle } from './settle.js';
import { stackKey } from './stacks.js';
import { TextReader } from './text-reader.js';
import type { NativeLeakVerdict } from './verdict.js';
import { type Found, GrowthWatch } from './watch.js';

/** The function that is checked: it gets the number of calls before this one. */
export type Checked = (call: number) => unknown;

/** The process's profile as it is now, as far as it matters. */
function currentProfile(reader: TextReader): Profile {
  const text = native().text();
  if (typeof text !== 'string') {
    check(text);
    throw new ForkheapError('ERR_FORKHEAP_NOT_RUNNING', 'the heap profile of this process has ended');
  }
  return reader.read(text, codeFrames(JSON.parse(native().javaScriptCode()) as ManifestCode[]));
}

const inCheck = new AsyncLocalStorage<true>();

/** One check at a time: another one, also of another thread, would count as growth of this one. */
async function takeTurn(): Promise<void> {
  if (inCheck.getStore()) {
    throw new ForkheapError(
      'ERR_FORKHEAP_ALREADY_RUNNING',
      'a leak check cannot be made inside the function of another one: each would count the other',
    );
  }
  while (!native().claimCheck()) await delay(10);
}

/** Starts a profile without files when none runs. Returns what ends it again. */
function ensureProfile({ mode, sampleInterval }: CheckedLeakOptions): () => void {
  // What runs already is not ours: it goes on as it is.
  if (native().state().running) return () => {};
  const quiet = { ...nativeOptions({ prefix: '/quiet', mode, sampleInterval }), control: '', quiet: true };
  check(native().start(quiet));
  return () => void check(native().stop());
}

function say(count: number, one: string, many: string): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

/** Calls the function and looks at the heap in between, until there is an answer or the time is up. */
class Measurement {
  readonly #fn: Checked;
  readonly #options: CheckedLeakOptions;
  readonly #watch: GrowthWatch;
  readonly #collect = collector();
  readonly #reader: TextReader;
  readonly #begin = performance.now();
  readonly #sampleInterval: number;
  #calls = 0;
  #measured = 0;

  constructor(fn: Checked, options: CheckedLeakOptions) {
    this.#fn = fn;
    this.#options = options;
    this.#watch = new GrowthWatch(options.owners, options.suppressions);
    this.#reader = new TextReader((sample) => stackKey(sample, options.owners === 'all') !== null);
    const { sampled, sampleInterval } = native().state();
    this.#sampleInterval = sampled ? sampleInterval : 0;
  }

  async run(): Promise<NativeLeakVerdict> {
    const { warmup, rounds, maxIterations, smallest } = this.#options;
    await this.#call(warmup);
    await settle(this.#collect);
    this.#watch.add(currentProfile(this.#reader), 0);
    let { iterations } = this.#options;
    // Half of the calls are in the last of the series, which must hold enough samples by itself.
    const enough = this.#sampleInterval === 0 ? 0 : Math.ceil((SAMPLES_NEEDED * this.#sampleInterval) / smallest);
    let found: Found = { leaking: [], open: [], suppressed: [], needed: 0 };
    for (let from = 0; ; from = this.#watch.rounds, iterations *= 2) {
      if (this.#measured + rounds * iterations > maxIterations) {
        return this.#verdict(found, enough, `${say(maxIterations, 'call is', 'calls are')} the most that was allowed`);
      }
      for (let round = 0; round < rounds; round++) {
        await this.#call(iterations);
        this.#measured += iterations;
        await settle(this.#collect);
        this.#watch.add(currentProfile(this.#reader), this.#measured);
        if (performance.now() - this.#begin > this.#options.timeout && round < rounds - 1) {
          return this.#verdict(found, enough, `the ${this.#options.timeout} ms that it may take are over`);
        }
      }
      found = await this.#watch.judge(from);
      if (found.open.length === 0 && (found.leaking.length > 0 || this.#measured >= enough)) {
        return this.#verdict(found, 0, '');
      }
    }
  }

  async #call(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const result = this.#fn(this.#calls++);
      // A promise, of this or another realm.
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') await result;
    }
  }

  #verdict({ leaking, open, suppressed, needed }: Found, enough: number, limit: string): NativeLeakVerdict {
    const undecided = limit !== '';
    const leaks = leaking.length > 0 ? true : undecided ? 'unknown' : false;
    const sum = (key: 'bytesPerIteration' | 'objectsPerIteration'): number =>
      leaking.reduce((total, finding) => total + finding[key], 0);
    const { iterations, rounds, warmup, name } = this.#options;
    const wanted = Math.max(enough, this.#measured + needed, this.#measured + 2 * rounds * iterations);
    const calls = say(this.#measured, 'call', 'calls');
    const reason =
      leaks === true
        ? `${say(leaking.length, 'stack grows', 'stacks grow')} at the same rate throughout ${calls}`
        : leaks === 'unknown'
          ? `${limit}, and after ${calls} it is not clear yet; about ${say(wanted, 'call', 'calls')} would do`
          : `no stack grew at the same rate throughout ${calls}`;
    const scale = this.#measured === 0 ? 0 : (SAMPLES_NEEDED * this.#sampleInterval) / this.#measured;
    return {
      leaks,
      name,
      reason,
      findings: leaking,
      suspects: open,
      suppressed,
      bytesPerIteration: sum('bytesPerIteration'),
      objectsPerIteration: sum('objectsPerIteration'),
      detectable: scale,
      warmup,
      iterations: this.#measured,
      iterationsNeeded: leaks === 'unknown' ? wanted : 0,
      rounds: this.#watch.rounds,
      mode: this.#sampleInterval === 0 ? 'exact' : 'sampled',
      sampleInterval: this.#sampleInterval,
      pid: process.pid,
      rerun: false,
      duration: Math.round(performance.now() - this.#begin),
    };
  }
}

/** Checks in this process, which is preloaded. */
export async function measure(fn: Checked, options: CheckedLeakOptions): Promise<NativeLeakVerdict> {
  await takeTurn();
  try {
    const end = ensureProfile(options);
    try {
      return await inCheck.run(true, () => new Measurement(fn, options).run());
    } finally {
      end();
    }
  } finally {
    native().releaseCheck();
  }
}
