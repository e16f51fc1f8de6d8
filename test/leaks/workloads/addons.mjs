// What addons do on the main thread, on libuv's pool, and on threads of their own. leveldown has one database for all calls: 6.1.1
// loses 24 bytes, its Bloom filter policy, with each database that is made (Database::~Database() in its binding.cc).
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);

export const addons = {
  'leveldown: gets and batches': {
    calls: 20,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'forkheap-workload-'));
      const db = require('leveldown')(join(folder, 'db'));
      await promisify(db.open.bind(db))({ writeBufferSize: 64 << 10, cacheSize: 64 << 10 });
      const call = (name, ...args) => promisify(db[name].bind(db))(...args);
      const keys = Array.from({ length: 100 }, (_, i) => `key ${i}`);
      const run = async () => {
        await call(
          'batch',
          keys.map((key) => ({ type: 'put', key, value: Buffer.alloc(100, key) })),
        );
        await call('getMany', keys);
        const iterator = db.iterator({ limit: 50 });
        for (let i = 0; i < 10; i++) await promisify(iterator.next.bind(iterator))();
        await promisify(iterator.end.bind(iterator))();
      };
      return { run, close: () => call('close').then(() => rm(folder, { recursive: true })) };
    },
  },
  bcrypt: {
    calls: 20,
    open: async () => {
      const bcrypt = require('bcrypt');
      return { run: async () => bcrypt.compare('password', await bcrypt.hash('password', 4)) };
    },
  },
  argon2: {
    calls: 20,
    open: async () => {
      const argon2 = require('argon2');
      const options = { memoryCost: 64, timeCost: 2, parallelism: 1 };
      return { run: async () => argon2.verify(await argon2.hash('password', options), 'password') };
    },
  },
  zeromq: {
    calls: 50,
    open: async () => {
      const { Reply, Request } = require('zeromq');
      const [server, client] = [new Reply(), new Request()];
      await server.bind('inproc://forkheap-workload');
      client.connect('inproc://forkheap-workload');
      const run = async () => {
        await client.send(Buffer.alloc(2000, 1));
        const [message] = await server.receive();
        await server.send(message);
        await client.receive();
      };
      const close = () => {
        client.close();
        server.close();
      };
      return { run, close };
    },
  },
  sharp: {
    calls: 10,
    open: async () => {
      const sharp = require('sharp');
      const image = await sharp({ create: { width: 200, height: 200, channels: 3, background: '#345' } })
        .png()
        .toBuffer();
      return { run: () => sharp(image).resize(50, 50).jpeg().toBuffer() };
    },
  },
  'Node-API references and finalizers': {
    calls: 20,
    open: async () => {
      const leaky = require('../../fixtures/addons/leaky/build/Release/leaky.node');
      return { run: () => leaky.wrap(50, 1000) };
    },
  },
};
