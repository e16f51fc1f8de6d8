import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { cli } from '../helpers/forkheap.js';
import { checkProgram, compileStub } from '../helpers/leaks.js';
import { script } from '../helpers/preloaded.js';
import { root } from '../helpers/process.js';
import { filesIn } from '../helpers/profiles.js';

const lost = { LEAKY_LOSE: '1' };

// Some of the blocks have been somebody else's, who may have left their addresses lying about: up to some 30 were seen,
// however many are lost.
for (const name of ['native-fork.cjs', 'fork-child.mjs', 'cluster-worker.mjs', 'grandchild.mjs']) {
  t.test(`what each process of ${name} has lost`, async (t) => {
    const { report, result } = await checkProgram(t, program(name, 1000, 1000), { status: 1, env: lost });
    const expected = leaksIn(result.stderr);
    t.equal(report.processes.length, expected.length, 'processes');
    for (const { pid, kind, blocks } of expected) {
      const process = report.processes.find((candidate) => candidate.pid === pid);
      const [check] = process?.checks ?? [];
      t.match(process, { kind, verdict: 'leaked', reason: '' });
      t.equal(check?.name, kind === 'fork' ? 'forked child' : 'whole program');
      const objects = check?.objects ?? 0;
      t.ok(
        objects >= 0.95 * blocks && objects <= blocks,
        `${kind}: ${objects} of ${blocks} blocks, others ${JSON.stringify(check?.others)}`,
      );
      t.equal(check?.bytes, objects * 1000);
      t.ok(
        check?.findings.every(({ owner, stack }) => owner === '(program)' && stack[0]?.name === 'leaky::LeakBlocks'),
        'named right',
      );
    }
  });
}

t.test('every place is named', async (t) => {
  const { report } = await checkProgram(t, program('places.mjs', 400, 1000), { status: 1, env: lost });
  const findings = report.processes[0]?.checks[0]?.findings ?? [];
  const places: Record<string, string> = {
    LeakBlocks: 'leaky::LeakBlocks',
    outer: 'leaky::Inner',
    inlined: 'leaky::InlinedLeak',
    calloc: 'leaky::LeakByCalloc',
    realloc: 'leaky::LeakByRealloc',
    memalign: 'leaky::LeakByMemalign',
    new: 'leaky::LeakByNew',
    template: 'leaky::Table<long>::Grow',
  };
  for (const [place, name] of Object.entries(places)) {
    const objects = findings.filter(({ stack }) => stack[0]?.name === name).reduce((sum, f) => sum + f.objects, 0);
    t.ok(objects >= 380 && objects <= 400, `${place}: ${objects} of 400 blocks by ${name}`);
  }
});

t.test('no leaks: status 0, and nothing of gperftools', async (t) => {
  const prefix = tempPrefix(t);
  const code = `require('node:zlib').gzipSync(Buffer.alloc(100000)); console.log('printed')`;
  const { code: status, stdout, stderr } = await cli(t, ['check', '--prefix', prefix, '--', ...script(code)]);
  t.equal(status, 0, stderr);
  t.equal(stdout, 'printed\n');
  t.match(stderr, /^no leaks: 1 process without leaks\nreports: \S+\n$/);
});

t.test('without --prefix, a run without leaks leaves no folder, and one with leaks says which', async (t) => {
  const folder = t.testdir({ 'clean.cjs': '', 'failing.cjs': 'process.exitCode = 3' });
  const check = (file: string) => cli(t, ['check', '--', process.execPath, file], { cwd: folder });
  t.match(await check('clean.cjs'), { code: 0, stderr: 'no leaks: 1 process without leaks\n' });
  t.same(filesIn(folder), ['clean.cjs', 'failing.cjs']);
  const { stderr } = await check('failing.cjs');
  t.ok(existsSync(dirname(/^reports: (\S+)$/m.exec(stderr)?.[1] ?? '')), stderr);
});

t.test('processes of which nobody can tell', async (t) => {
  const killed = `const { fork } = require('node:child_process');
    if (process.send) process.kill(process.pid, 'SIGKILL');
    else fork(process.argv[1]).on('exit', () => {});`;
  const folder = t.testdir({ 'killed.cjs': killed });
  const file = join(folder, 'killed.cjs');
  const failed = await checkProgram(t, script('process.exitCode = 3'), { status: 2, prefix: join(folder, 'f') });
  t.match(failed.report, { verdict: 'unknown', processes: [{ verdict: 'clean' }], warnings: [/status 3/] });
  const { report } = await checkProgram(t, [process.execPath, file], { status: 2, prefix: join(folder, 'p') });
  t.same(report.processes.map(({ verdict }) => verdict).sort(), ['clean', 'unknown']);
  t.match(
    report.processes.find(({ kind }) => kind === 'child'),
    { reason: /killed/ },
  );
  const nothing = await checkProgram(t, ['/bin/true'], { status: 2, prefix: join(folder, 'n') });
  t.match(nothing.report, { processes: [], warnings: [/no process of this run/] });
});

t.test('SIGTERM does not keep a process from its check', async (t) => {
  const code = `require('./test/fixtures/programs/leaky.cjs').leaky.leak(100, 1000);
    process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)`;
  const { report } = await checkProgram(t, script(code), { status: 1, env: lost });
  t.match(report, { verdict: 'leaked', warnings: [/SIGTERM/] });
});

t.test('two children with the same checker name leave two reports', async (t) => {
  const code = `const { HeapLeakChecker } = require('forkheap');
    const { fork } = require('node:child_process');
    const { leaky } = require(${JSON.stringify(join(root, 'test/fixtures/programs/leaky.cjs'))});
    if (process.send) {
      const checker = new HeapLeakChecker('same');
      leaky.leak(50, 100 * Number(process.argv[2]));
      checker.noLeaks();
      process.disconnect();
    } else for (const n of [1, 2]) fork(process.argv[1], [n])`;
  // Below the project, so that it finds forkheap.
  const folder = t.testdir({ 'same.cjs': code });
  const file = join(folder, 'same.cjs');
  const { report } = await checkProgram(t, [process.execPath, file], {
    status: 1,
    env: lost,
    flags: ['--mode', 'local'],
    prefix: join(folder, 'p'),
  });
  const checks = report.processes.filter(({ kind }) => kind === 'child').flatMap((process) => process.checks);
  t.same(
    checks.map(({ name }) => name),
    ['same', 'same'],
  );
  const sizes = checks.map(({ bytes, objects }) => bytes / objects).sort((a, b) => a - b);
  t.same(sizes, [100, 200], 'each its own');
  t.equal(new Set(checks.map(({ dump }) => dump)).size, 2);
});

t.test('suppressions, annotations and the page', async (t) => {
  const folder = t.testdir({});
  const command = program('root-leak.mjs', 1000, 1000);
  const supp = join(folder, 'team.supp');
  writeFileSync(supp, '# known\nleak:leaky::LeakBlocks\n');
  const { report } = await checkProgram(t, command, {
    status: 0,
    env: lost,
    flags: ['--suppressions', supp],
    prefix: join(folder, 'a'),
  });
  t.match(report.processes[0]?.checks[0]?.suppressed, [{ pattern: 'leaky::LeakBlocks' }]);
  const html = join(folder, 'lost.html');
  const flags = ['check', '--format', 'github', '--html', html, '--prefix', join(folder, 'b'), '--', ...command];
  const { code, stdout, stderr } = await cli(t, flags, { env: lost });
  t.equal(code, 1, stderr);
  t.match(
    stdout,
    /^::error file=test\/fixtures\/addons\/leaky\/src\/leaks\.cc,line=\d+,title=Native memory lost by \(program\)::/m,
  );
  t.match(stderr, /LEAKED .*\n.*whole program/);
  t.match(readFileSync(html, 'utf8'), /^<!doctype html>/);
  const bad = join(folder, 'bad.supp');
  writeFileSync(bad, 'nonsense\n');
  t.match(await cli(t, ['check', '--suppressions', bad, '--', 'true']), {
    code: 2,
    stderr: /bad\.supp:1: .*ERR_FORKHEAP_BAD_FILE/,
  });
});

t.test('what is lost beside sharp is found, whose libvips is suppressed', async (t) => {
  const code = `
    const { leaky } = require('./test/fixtures/programs/leaky.cjs');
    const sharp = require('./test/leaks/workloads/node_modules/sharp');
    const create = { width: 200, height: 200, channels: 3, background: '#345' };
    sharp({ create }).resize(50, 50).jpeg().toBuffer().then(() => leaky.leak(100, 1000))`;
  const { report } = await checkProgram(t, script(code), { status: 1, env: lost });
  const check = report.processes[0]?.checks[0];
  t.match(check?.suppressed, [{ pattern: 'libvips-cpp.so' }]);
  t.match(check?.findings, [{ owner: '(program)', stack: [{ name: 'leaky::LeakBlocks' }] }]);
  t.ok((check?.objects ?? 0) >= 95, `${check?.objects} of 100 blocks`);
});

t.test('a gperftools without leak checker', async (t) => {
  const FORKHEAP_TCMALLOC = compileStub(t);
  const { code, stdout, stderr } = await cli(t, ['check', '--', 'node', '-e', '1'], { env: { FORKHEAP_TCMALLOC } });
  t.same([code, stdout], [2, '']);
  t.match(stderr, /2\.10 .* 2\.16 .*checkNativeLeaks\(\).*\[ERR_FORKHEAP_LEAK_CHECKER_UNSUPPORTED\]/);
});

t.test('a leak check makes no dumps, whatever the environment of a profiled parent says', async (t) => {
  const prefix = tempPrefix(t);
  const code = `for (let i = 0; i < 2000; i++) require('node:zlib').gzipSync(Buffer.alloc(1000));
    const { readdirSync } = require('node:fs');
    console.log(readdirSync(process.argv[1]).filter((name) => /heap$|control$/.test(name)).length)`;
  const env = { FORKHEAP_DUMP_EVERY_MS: '1', FORKHEAP_DUMP_ALLOCATED: '1000', FORKHEAP_DUMP_INUSE: '1000' };
  const command = [...script(code), dirname(prefix)];
  const { code: status, stdout, stderr } = await cli(t, ['check', '--prefix', prefix, '--', ...command], { env });
  t.equal(status, 0, stderr);
  t.equal(stdout, '0\n', 'files');
  t.match(stderr, /^no leaks: 1 process without leaks\nreports: \S+\n$/, 'nor a word about them');
  for (const path of [prefix, dirname(prefix)]) {
    t.match(await cli(t, ['dump', path]), { code: 2, stderr: /forkheap check watches makes .*ERR_FORKHEAP_NO_FILES/ });
  }
});

t.test('a heap profile refuses HEAPCHECK', async (t) => {
  const { code, stderr } = await cli(t, ['run', '--', 'node', '-e', '1'], {
    env: { HEAPCHECK: 'normal' },
    cwd: t.testdir({}),
  });
  t.equal(code, 2);
  t.match(stderr, /HEAPCHECK=normal is set/);
});

t.test('a real leak: leveldown 6.1.0 loses the keys of getMany, 6.1.1 does not', async (t) => {
  const command = (name: string): string[] => [process.execPath, join(root, 'bench/leaks/lost.mjs'), name, '50'];
  const { report } = await checkProgram(t, command('leveldown'), { status: 1 });
  t.same(new Set(report.processes[0]?.checks[0]?.findings.map(({ owner }) => owner)), new Set(['leveldown']));
  const known = 50 * 20 * 400;
  t.ok(report.bytes > 0.95 * known && report.bytes <= known, `${report.bytes} of ${known} bytes`);
  const fixed = await checkProgram(t, command('leveldown-fixed'), { status: 0, flags: ['--force'] });
  t.equal(fixed.report.verdict, 'clean');
});
