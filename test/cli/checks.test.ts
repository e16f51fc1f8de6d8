import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runChecks, type Surroundings, surroundings } from '../../src/cli/checks.js';
import { cli } from '../helpers/forkheap.js';

const here = surroundings().platform;
const find = (name: string, change: Partial<Surroundings>) =>
  runChecks({ ...surroundings(), ...change }).find((finding) => finding.name === name);

const levelOf = (name: string, change: Partial<Surroundings>) => find(name, change)?.level;

t.test('what doctor says of other machines', async (t) => {
  t.equal(levelOf('platform', {}), 'ok');
  t.equal(levelOf('platform', { platform: { ...here, platform: 'darwin' } }), 'fail');
  t.equal(levelOf('platform', { platform: { ...here, platform: 'win32' } }), 'fail');
  t.equal(levelOf('platform', { platform: { ...here, arch: 'arm64' } }), 'fail');
  t.equal(levelOf('platform', { platform: { ...here, interpreter: '/lib/ld-musl-x86_64.so.1' } }), 'fail', 'musl');
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
  for (const { level, advice, name } of runChecks({
    ...surroundings(),
    root: '/nowhere',
    platform: { ...here, platform: 'darwin' },
  })) {
    t.equal(advice === '', level === 'ok', name);
  }
});

t.test('the leak checker needs ptrace, and a gperftools that has one', async (t) => {
  const kernel = { ptraceScope: 0, mayPtrace: false, seccomp: false };
  if (/has none/.test(find('leak checker', { kernel })?.message ?? '')) {
    t.match(find('leak checker', { kernel }), { level: 'warn', advice: /2\.10 to 2\.16/ });
    return;
  }
  t.equal(levelOf('leak checker', { kernel: { ...kernel, ptraceScope: 1 } }), 'ok');
  t.equal(levelOf('leak checker', { kernel: { ...kernel, ptraceScope: 2, mayPtrace: true } }), 'ok');
  t.match(find('leak checker', { kernel: { ...kernel, ptraceScope: 2 } }), { level: 'warn', advice: /CAP_SYS_PTRACE/ });
  t.match(find('leak checker', { kernel: { ...kernel, seccomp: true } }), { level: 'ok', message: /seccomp/ });
});

t.test('the trial', async (t) => {
  const outcome = (profiled: boolean | null, complaint: string) =>
    find('trial', { tryProfile: () => ({ profiled, gperftools: '2.10', complaint }) });
  t.match(outcome(true, ''), { level: 'ok', message: /with 2\.10/ });
  t.match(outcome(true, 'x'), { level: 'warn', message: /x$/ });
  t.match(outcome(null, ''), { level: 'warn', advice: /TMPDIR/ });
  t.match(outcome(false, 'y: failed to map segment from shared object\nz'), { level: 'fail', advice: /noexec/ });
  t.equal(find('trial', { root: '/nowhere' }), undefined, 'not when something is known to be missing');
});

t.test("pm2's daemon", async (t) => {
  const home = t.testdir({});
  t.equal(find('pm2', { env: { PM2_HOME: home } }), undefined);
  writeFileSync(join(home, 'pm2.pid'), String(process.pid));
  t.match(find('pm2', { env: { PM2_HOME: home } }), { level: 'warn', advice: /pm2-runtime/ });
});

t.test('on this machine, really', async (t) => {
  const { code, stdout } = await cli(t, ['doctor', '--json']);
  t.equal(code, 0);
  const { level, findings } = JSON.parse(stdout) as { level: string; findings: { name: string; level: string }[] };
  t.not(level, 'fail');
  t.match(
    findings.find(({ name }) => name === 'trial'),
    { level: 'ok' },
  );
});
