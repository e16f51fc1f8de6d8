// Workers by child_process.fork. They do not listen: the primary accepts the connections and gives them away in turn.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

const script = new URL('worker.js', import.meta.url);

export function forkWorkers(leveldown, port) {
  return {
    spawn: (database) => fork(script, [leveldown, database]),

    async listen(pool) {
      let turn = 0;
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        const workers = pool.ready;
        const worker = workers[turn++ % workers.length];
        if (!worker?.connected) return socket.destroy();
        worker.send({ type: 'connection' }, socket, (error) => {
          if (error) socket.destroy();
        });
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      return { port: server.address().port, close: () => server.close() };
    },
  };
}
