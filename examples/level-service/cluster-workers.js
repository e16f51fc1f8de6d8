// Workers by node:cluster. They listen on one port; cluster's primary accepts the connections and shares them out.
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

const exec = fileURLToPath(new URL('worker.js', import.meta.url));

export function clusterWorkers(leveldown, port) {
  let listeningPort = port;
  cluster.on('listening', (_worker, address) => {
    listeningPort = address.port;
  });
  return {
    spawn(database) {
      cluster.setupPrimary({ exec, args: [leveldown, database, String(port)] });
      return cluster.fork().process;
    },

    // Each worker listens by itself and is stopped by itself.
    listen: async () => ({ port: listeningPort, close: () => {} }),
  };
}
