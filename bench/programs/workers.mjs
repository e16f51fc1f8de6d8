// workers.mjs COUNT: starts and ends workers by child_process.fork, two at a time.
import { fork } from 'node:child_process';
import { once } from 'node:events';

if (process.send) {
  process.on('message', (text) => process.send(JSON.parse(text).answer, () => process.disconnect()));
} else {
  let left = Number(process.argv[2]);
  const one = async () => {
    while (left-- > 0) {
      const worker = fork(import.meta.filename);
      worker.send(JSON.stringify({ answer: 42 }));
      const [status] = await once(worker, 'exit');
      if (status !== 0) process.exitCode = 1;
    }
  };
  await Promise.all([one(), one()]);
}
