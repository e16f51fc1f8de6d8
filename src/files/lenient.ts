import { ForkheapError, withCode } from '../errors.js';
import type { ProcessFiles } from './find.js';

/** Reads the dumps of several processes, of which some may be damaged: those take nothing from the others. */
export class LenientReading {
  #some = false;
  #first: ForkheapError | undefined;

  /** `read()`, or `leftOut(why)` when that dump cannot be read; an error when the caller has asked for it by its own path. */
  dump<T>(files: ProcessFiles, read: () => T, leftOut: (why: string) => T): T {
    try {
      const result = read();
      this.#some = true;
      return result;
    } catch (error) {
      if (!(error instanceof ForkheapError) || files.named) throw error;
      this.#first ??= error;
      return leftOut(withCode(error));
    }
  }

  /** @throws ForkheapError the first one, when no dump at all could be read. */
  end(): void {
    if (!this.#some && this.#first !== undefined) throw this.#first;
  }
}
