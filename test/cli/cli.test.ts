import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, forkheap } from '../helpers/forkheap.js';
import { root, runProcess } from '../helpers/process.js';
import { EXACT } from '../profile/texts.js';

/** A run that must end with status 2, one line on stderr, and nothing on stdout. */
async function fails(t: Test, args: string[], code: string, message: RegExp): Promise<void> {
  const result = await cli(t, args);
  const title = `forkheap ${args.join(' ')}`;
  t.match(result, { code: 2, stdout: '', stderr: message }, title);
  t.match(result.stderr, new RegExp(`^forkheap: .* \\[${code}\\]\\n$`), title);
}

t.test('help and version', async (t) => {
  const version = await cli(t, ['--version']);
  t.match(version, { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' });
  t.match(await cli(t, ['--help']), { code: 0, stdout: /Examples:/, stderr: '' });
  for (const verb of ['run', 'ls', 'top', 'doctor']) {
    t.match(await cli(t, [verb, '--help']), { code: 0, stdout: /Usage: forkheap [\s\S]*Examples:/, stderr: '' }, verb);
  }
  t.match(await cli(t, ['dump', '--help']), { stdout: /how long to wait \(default: 5s\)\n/ }, 'a default is said once');
  t.match(await cli(t, []), { code: 2, stdout: '', stderr: /^Usage: forkheap/ }, 'no verb');
});

t.test('verbs and options that do not exist', async (t) => {
  await fails(t, ['tpo'], 'ERR_FORKHEAP_USAGE', /unknown command 'tpo' \(Did you mean top\?\)/);
  await fails(t, ['top', '--jsno', 'x'], 'ERR_FORKHEAP_USAGE', /unknown option '--jsno' \(Did you mean --json\?\)/);
  await fails(t, ['--verison'], 'ERR_FORKHEAP_USAGE', /Did you mean --version\?/);
  await fails(t, ['top'], 'ERR_FORKHEAP_USAGE', /missing required argument 'path'/);
  await fails(
    t,
    ['top', '--by', 'x', '.'],
    'ERR_FORKHEAP_USAGE',
    /Allowed choices are function, line, javascript, mapping/,
  );
  await fails(t, ['top', '--limit', '-1', '.'], 'ERR_FORKHEAP_USAGE', /whole number/);
  await fails(t, ['top', '--pid', 'x', '.'], 'ERR_FORKHEAP_USAGE', /number of a process/);
});

t.test('a folder is no prefix, and what lies in it stays', async (t) => {
  const folder = t.testdir({ 'a_1.0001.heap': EXACT });
  for (const verb of ['run', 'check']) {
    const args = [verb, '--prefix', folder, '--force', '--', 'true'];
    await fails(t, args, 'ERR_FORKHEAP_INVALID_PREFIX', /is a folder: add the start of a file name/);
  }
  t.ok(existsSync(join(folder, 'a_1.0001.heap')));
});

t.test('files that cannot be read', async (t) => {
  const folder = t.testdir({
    'a_1.0001.heap': EXACT,
    'empty.heap': '',
    'cut.heap': EXACT.slice(0, 300),
    'x.heap': '{}\n',
  });
  const at = (name: string) => join(folder, name);
  writeFileSync(at('big.heap'), '');
  truncateSync(at('big.heap'), 2 ** 30 + 1);
  await fails(t, ['top', at('gone')], 'ERR_FORKHEAP_NO_FILES', /no file, folder or prefix/);
  await fails(t, ['ls', at('gone')], 'ERR_FORKHEAP_NO_FILES', /no file, folder or prefix/);
  await fails(t, ['top', at('empty.heap')], 'ERR_FORKHEAP_BAD_FILE', /empty\.heap:1: .*it is empty/);
  await fails(t, ['top', at('cut.heap')], 'ERR_FORKHEAP_BAD_FILE', /cut\.heap:\d+: .*it is cut/);
  await fails(t, ['top', at('x.heap')], 'ERR_FORKHEAP_BAD_FILE', /x\.heap:1: .*not a heap profile/);
  await fails(t, ['top', '--json', at('big.heap')], 'ERR_FORKHEAP_FILE_TOO_LARGE', /too large/);
  await fails(t, ['top', at('a_1.0001.heap'), at('empty.heap')], 'ERR_FORKHEAP_BAD_FILE', /empty/);
  await fails(t, ['top', '--pid', '7', at('a')], 'ERR_FORKHEAP_NO_FILES', /no process 7; there are: 1/);
});

t.test('top and ls', async (t) => {
  const folder = t.testdir({ 'a_1.0001.heap': EXACT, 'a_2.0001.heap': EXACT });
  const top = await cli(t, ['top', folder]);
  t.match(top, { code: 0, stderr: '', stdout: /600 B +60\.0% .*0x10100 \(ümlaut\.node\)/ });
  t.notMatch(top.stdout, '\u001b');
  const json = JSON.parse((await cli(t, ['top', '--json', '--pid', '2', folder])).stdout);
  t.match(json, { processes: [{ pid: 2 }], total: { inuseSpace: 500 }, rows: [{ self: { inuseSpace: 300 } }] });
  const limited = JSON.parse((await cli(t, ['top', '--json', '--limit', '1', folder])).stdout);
  t.equal(limited.rows.length, 1);
  const each = await cli(t, ['top', '--per-process', folder]);
  t.match(each.stdout, /\n1 unknown +a_1\n[\s\S]*\n2 unknown +a_2\n/);
  const ls = JSON.parse((await cli(t, ['ls', '--json', folder])).stdout);
  t.match(ls, {
    processes: [{ pid: 1, dumps: [/a_1\.0001\.heap$/] }, { pid: 2 }],
    total: { inuseSpace: 1000 },
    rows: [],
  });
});

t.test('without a symbolizer the table has hexadecimal names and says why', async (t) => {
  const folder = t.testdir({ 'a_1.0001.heap': EXACT });
  const result = await cli(t, ['top', folder], { env: { FORKHEAP_SYMBOLIZER: '/nowhere' } });
  t.match(result, {
    code: 0,
    stdout: /0x10100 \(ümlaut\.node\)[\s\S]*symbolizer \/nowhere is missing.*ERR_FORKHEAP_SYMBOLIZER/,
  });
});

t.test('a reader that has seen enough is no error', async (t) => {
  const stack = (i: number) => `1: 1 [1: 1] @ 0x7f00000${(0x10000 + i).toString(16)} 0x00400201\n`;
  const count = 20_000;
  const stacks = Array.from({ length: count }, (_, i) => stack(i + 1)).join('');
  const header = `heap profile: ${count}: ${count} [${count}: ${count}] @ heapprofile\n`;
  const folder = t.testdir({ 'a_1.0001.heap': `${header}${stacks}\n${EXACT.slice(EXACT.indexOf('MAPPED'))}` });
  const pipeline = 'set -o pipefail; "$@" | head -n 1';
  const result = await runProcess(t, ['bash', '-c', pipeline, 'bash', ...forkheap('top', '--json', folder)], {
    cwd: root,
  });
  t.same(result, { code: 0, signal: null, stdout: '{\n', stderr: '' });
});

t.test('doctor', async (t) => {
  const env = { HEAPPROFILE: undefined, LD_PRELOAD: undefined };
  t.match(await cli(t, ['doctor'], { env }), {
    code: 0,
    stdout: /ok +platform[\s\S]*ok +trial/,
    stderr: '',
  });
  const warned = JSON.parse((await cli(t, ['doctor', '--json'], { env: { HEAPPROFILE: '/tmp/x' } })).stdout);
  t.match(warned, { level: 'warn' });
  t.match(
    warned.findings.find(({ name }: { name: string }) => name === 'HEAPPROFILE'),
    { level: 'warn', advice: /Unset/ },
  );
  const broken = await cli(t, ['doctor'], { env: { ...env, FORKHEAP_TCMALLOC: '/nowhere' } });
  t.match(broken, { code: 2, stdout: /fail +gperftools: .*\n +FORKHEAP_TCMALLOC names/, stderr: '' });
});
