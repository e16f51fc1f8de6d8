// What Node does by itself.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { EventEmitter, once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import vm from 'node:vm';
import { MessageChannel, Worker } from 'node:worker_threads';
import zlib from 'node:zlib';

const text = 'the quick brown fox jumps over the lazy dog '.repeat(200);
const simple = (run) => async () => ({ run });
const gzip = promisify(zlib.gzip);
const scrypt = promisify(crypto.scrypt);

// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const wasm = Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex');

export const node = {
  buffers: {
    calls: 200,
    open: simple(() =>
      Buffer.concat([Buffer.alloc(50_000, 1), Buffer.from(text), new Uint8Array(4000)]).toString('hex'),
    ),
  },
  'zlib, synchronous': {
    calls: 50,
    open: simple(
      () =>
        zlib.gunzipSync(zlib.gzipSync(text)) &&
        zlib.brotliDecompressSync(
          zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } }),
        ),
    ),
  },
  'zlib, on the pool': { calls: 50, open: simple(async () => promisify(zlib.gunzip)(await gzip(text))) },
  'crypto: hashes and ciphers': {
    calls: 100,
    open: simple(() => {
      crypto.createHash('sha256').update(text).digest('hex');
      const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.alloc(32, 1), Buffer.alloc(12, 2));
      return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
    }),
  },
  'crypto: keys': {
    calls: 40,
    open: simple(() => {
      const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const signature = crypto.sign('sha256', Buffer.from(text), privateKey);
      if (!crypto.verify('sha256', Buffer.from(text), publicKey, signature)) throw new Error('not verified');
      return publicKey.export({ type: 'spki', format: 'pem' });
    }),
  },
  'crypto: on the pool': {
    calls: 20,
    open: simple(() => Promise.all([scrypt('password', 'salt', 32, { N: 256 }), promisify(crypto.randomBytes)(1000)])),
  },
  http: {
    calls: 50,
    open: async () => {
      const server = http.createServer((request, response) => request.pipe(response)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
      const run = async () => {
        const request = http.request({ port: server.address().port, host: '127.0.0.1', method: 'POST', agent });
        request.end(text);
        const [response] = await once(request, 'response');
        for await (const chunk of response) chunk.toString();
      };
      const close = () => {
        agent.destroy();
        server.close();
        server.closeAllConnections();
      };
      return { run, close };
    },
  },
  'http: a connection each': {
    calls: 30,
    open: async () => {
      const server = http.createServer((_, response) => response.end(text)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const run = async () =>
        (await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { connection: 'close' } })).text();
      return { run, close: () => server.close() && server.closeAllConnections() };
    },
  },
  'net and dns': {
    calls: 50,
    open: async () => {
      const server = net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const run = async () => {
        await lookup('127.0.0.1');
        const socket = net.connect(server.address().port, '127.0.0.1').resume();
        await once(socket, 'close');
      };
      return { run, close: () => server.close() };
    },
  },
  'fs: files': {
    calls: 50,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'forkheap-workload-'));
      const file = join(folder, 'file');
      const run = async () => {
        await writeFile(file, text);
        await stat(file);
        return readFile(file, 'utf8');
      };
      return { run, close: () => rm(folder, { recursive: true }) };
    },
  },
  'fs: streams': {
    calls: 30,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'forkheap-workload-'));
      const [from, to] = [join(folder, 'from'), join(folder, 'to')];
      await writeFile(from, text.repeat(20));
      const run = () => pipeline(createReadStream(from), zlib.createGzip({ level: 1 }), createWriteStream(to));
      return { run, close: () => rm(folder, { recursive: true }) };
    },
  },
  'worker threads': {
    calls: 5,
    open: simple(async () => {
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage(new Array(1000).fill('x'))", {
        eval: true,
        execArgv: [],
      });
      await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    }),
  },
  messages: {
    calls: 100,
    open: simple(async () => {
      const { port1, port2 } = new MessageChannel();
      port1.postMessage({ text, buffer: new ArrayBuffer(1000), map: new Map([[1, text]]) });
      await once(port2, 'message');
      port1.close();
      return structuredClone({ text });
    }),
  },
  'child processes': {
    calls: 5,
    open: simple(async () => {
      const child = spawn('true', [], { stdio: ['ignore', 'pipe', 'ignore'] });
      child.stdout.resume();
      await once(child, 'close');
    }),
  },
  'contexts and scripts': {
    calls: 10,
    open: simple(() => vm.runInNewContext('let sum = 0; for (let i = 0; i < n; i++) sum += i; sum', { n: 100 })),
  },
  webassembly: {
    calls: 50,
    open: simple(async () => (await WebAssembly.instantiate(wasm)).instance.exports.add(1, 2)),
  },
  'text and urls': {
    calls: 100,
    open: simple(() => {
      const url = new URL(`https://example.com/a/../b?q=${encodeURIComponent(text.slice(0, 500))}`);
      return new TextDecoder().decode(new TextEncoder().encode(url.href + new Intl.NumberFormat('de').format(1234.5)));
    }),
  },
  'timers, promises, events': {
    calls: 100,
    open: simple(async () => {
      const emitter = new EventEmitter();
      setImmediate(() => emitter.emit('done'));
      const timer = setTimeout(() => {}, 1000);
      await once(emitter, 'done');
      clearTimeout(timer);
      for await (const chunk of Readable.from([text, text])) JSON.parse(JSON.stringify({ chunk }));
    }),
  },
};
