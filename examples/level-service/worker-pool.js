// Keeps `size` worker processes running: a worker that dies is replaced, until stop() is called.
import { once } from 'node:events';

export class WorkerPool {
  #spawn;
  #slots;
  #ready = new Set();
  #stopping = false;

  /** `spawn(slot)` starts one worker and returns its ChildProcess. */
  constructor(size, spawn) {
    this.#slots = new Array(size).fill(null);
    this.#spawn = spawn;
  }

  /** The workers that take requests. */
  get ready() {
    return [...this.#ready];
  }

  /** Resolves when every worker has opened its database. */
  async start() {
    await Promise.all(this.#slots.map((_, slot) => this.#launch(slot)));
  }

  /** Asks every worker to end, and waits until all have ended. */
  async stop() {
    this.#stopping = true;
    const running = this.#slots.filter((worker) => worker !== null);
    const ended = running.map((worker) => once(worker, 'exit'));
    for (const worker of running) worker.kill('SIGTERM');
    await Promise.all(ended);
  }

  #launch(slot) {
    const worker = this.#spawn(slot);
    this.#slots[slot] = worker;
    return new Promise((resolve) => {
      worker.on('message', (message) => {
        if (message.type !== 'ready') return;
        this.#ready.add(worker);
        resolve();
      });
      worker.once('exit', (code, signal) => {
        this.#slots[slot] = null;
        const wasReady = this.#ready.delete(worker);
        if (this.#stopping) return resolve();
        console.error(`worker ${worker.pid} ended (${signal ?? code})`);
        // A worker that never became ready would not become so at a second attempt.
        if (wasReady) return void this.#launch(slot);
        process.exitCode = 1;
        process.kill(process.pid, 'SIGTERM');
      });
    });
  }
}
