import t from 'tap';
import { runChecks, type Surroundings, surroundings } from '../../src/cli/checks.js';

const levelOf = (name: string, change: Partial<Surroundings>) =>
  runChecks({ ...surroundings(), ...change }).find((finding) => finding.name === name)?.level;

t.test('what doctor says of other machines', async (t) => {
  t.equal(levelOf('platform', {}), 'ok');
  t.equal(levelOf('platform', { platform: 'darwin' }), 'fail');
  t.equal(levelOf('platform', { platform: 'win32' }), 'fail');
  t.equal(levelOf('platform', { arch: 'arm64' }), 'fail');
  t.equal(levelOf('platform', { glibc: '' }), 'fail', 'musl');
  t.equal(levelOf('node', { nodeVersion: '18.20.0' }), 'fail');
  t.equal(levelOf('node', { nodeVersion: '20.17.0' }), 'ok');
  t.equal(levelOf('node', { nodeVersion: '26.0.0' }), 'ok');
  t.equal(levelOf('preload library', { root: '/nowhere' }), 'fail');
  t.equal(levelOf('addon', { root: '/nowhere' }), 'fail');
  t.equal(levelOf('symbolizer', { env: { FORKHEAP_SYMBOLIZER: '/nowhere' } }), 'warn');
  t.equal(levelOf('LD_PRELOAD', { env: { LD_PRELOAD: '/usr/lib/libjemalloc.so.2' } }), 'fail');
  t.equal(levelOf('LD_PRELOAD', { env: { LD_PRELOAD: '/usr/lib/libother.so /x.so' } }), 'ok');
  t.equal(levelOf('executable', { execPath: '/nowhere' }), 'warn');
});

t.test('every finding that is not ok says what to do', async (t) => {
  for (const { level, advice, name } of runChecks({ ...surroundings(), root: '/nowhere', platform: 'darwin' })) {
    t.equal(advice === '', level === 'ok', name);
  }
});
