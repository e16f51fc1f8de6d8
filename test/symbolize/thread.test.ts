import t from 'tap';
import { topRows } from '../../src/report/rows.js';
import { sampleThread, UNKNOWN_THREAD } from '../../src/symbolize/thread.js';
import { Maker } from '../profile/made.js';

const NODE = '/usr/bin/node';
const LIBC = '/usr/lib/x86_64-linux-gnu/libc.so.6';
const ADDON = '/app/node_modules/canvas/canvas.node';

t.test('the kind of thread, by the outermost functions', async (t) => {
  const profile = new Maker().profile([
    [1, [`${ADDON}!Draw`, '/app/a.js:1:2!run', `${NODE}!node::Start(int, char**)`, `${LIBC}!__libc_start_main`], 1],
    [1, [`${ADDON}!Draw`, `${NODE}!node::worker::Worker::Run()`, `${LIBC}!start_thread`, `${LIBC}!clone3`], 2],
    [1, [`${NODE}!node::PlatformWorkerThread(void*)`, `${LIBC}!start_thread`], 4],
    [1, [`${NODE}!uv_something`, `${ADDON}!Renderer::Loop()`, `${LIBC}!start_thread`], 8],
    [1, [`${NODE}!something`, `${LIBC}!start_thread`], 16],
    [1, ['/app/a.js:1:2!run'], 32],
    [1, [], 64],
  ]);
  const names = profile.samples.map(sampleThread);
  const known = ['main thread', 'worker threads', 'V8 platform threads', 'threads of canvas', 'threads of node'];
  t.same(names, [...known, UNKNOWN_THREAD, UNKNOWN_THREAD]);
  const rows = topRows(profile, { by: 'thread', sort: 'inuseSpace' });
  t.match(rows[0], { name: UNKNOWN_THREAD, self: { inuseSpace: 96 }, cumulative: { inuseSpace: 96 } });
  t.equal(rows.length, 6);

  const pool = new Maker().profile([[1, [`${NODE}!uv__fs_work`, `${NODE}!worker`, `${LIBC}!start_thread`], 1]]);
  for (const location of pool.locations) {
    location.frames = location.frames.map((frame) => ({ ...frame, file: '/deps/uv/src/threadpool.c' }));
  }
  t.same(pool.samples.map(sampleThread), ['libuv thread pool']);
});
