import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseManifest } from '../../src/files/manifest-file.js';
import { readProfile } from '../../src/files/profile.js';
import { isCodeAddress, parseCodeAddress } from '../../src/profile/code-address.js';
import { topRows } from '../../src/report/rows.js';
import { parseCodeName } from '../../src/symbolize/javascript.js';
import { symbolize } from '../../src/symbolize/symbolize.js';
import { MAPS } from '../profile/texts.js';

t.test('names as V8 has them', async (t) => {
  const names: Record<string, [string, string, number, number?]> = {
    'JS:~handleRequest /srv/app/server.js:3:23': ['handleRequest', '/srv/app/server.js', 3, 23],
    'LazyCompile:*run /srv/my app/a b.js:10:1': ['run', '/srv/my app/a b.js', 10, 1],
    'JS:^get size file:///srv/%C3%BC%20x/m.mjs:7:11': ['get size', '/srv/ü x/m.mjs', 7, 11],
    'JS:+#hidden /a.js:1:2': ['#hidden', '/a.js', 1, 2],
    'Function:~ /srv/app.js:9:4': ['(anonymous)', '/srv/app.js', 9, 4],
    'Script:~ /srv/app.js:1:1': ['(anonymous)', '/srv/app.js', 1, 1],
    'JS:~<computed> node:internal/streams:5:6': ['<computed>', 'node:internal/streams', 5, 6],
    'Eval:~f evalmachine.<anonymous>:1:10': ['f', 'evalmachine.<anonymous>', 1, 10],
    'JS:~noScript ': ['noScript', '', 0],
    'JS:*': ['(anonymous)', '', 0],
    'Builtin:ArrayMap': ['Builtins_ArrayMap', '', 0],
    'RegExp:a+ b': ['RegExp:a+ b', '', 0],
    'wasm-function[3]': ['wasm-function[3]', '', 0],
    '': ['', '', 0],
  };
  for (const [name, [fn, file, line, column]] of Object.entries(names)) {
    const expected = { function: fn, file, line, ...(column === undefined ? {} : { column }) };
    t.same(parseCodeName(name), expected, name);
  }
});

t.test('made-up addresses', async (t) => {
  const address = parseCodeAddress('0x7ec0000000000018');
  t.ok(isCodeAddress(address as number));
  t.not(address, parseCodeAddress('0x7ec0000000000028'), 'the last digits count');
  t.equal(parseCodeAddress('0x7fff00000000'), null);
});

const dump = (address: string) => `heap profile: 1: 100 [ 1: 100] @ heapprofile
     1:      100 [     1:      100] @ 0x7f0000010101 ${address} 0x00400201

${MAPS}`;

const manifest = (pid: number, code: unknown) =>
  JSON.stringify({
    ...{
      forkheap: '0.1.0',
      pid,
      parentPid: 1,
      kind: 'child',
      startTime: '',
      profileTime: '',
      argv: ['node'],
      cwd: '/',
    },
    ...{ program: '/opt/app/node', nodeVersion: '20.20.2', gperftools: '', mode: 'exact', sampleInterval: 0 },
    ...{ stacks: 1000, truncatedStacks: 2, dumps: [], mappings: [], exit: null, code },
  });

t.test('functions of several processes are one row, by their place in the source', async (t) => {
  const folder = t.testdir({
    'a_1.0001.heap': dump('0x7ec0000000000018'),
    'a_2.0001.heap': dump('0x7ec0000000000028'),
    'b_3.0001.heap': dump('0x7ec0000000000028'),
    'app.ts': '',
    // Two lines, both mapped to app.ts:10:3 on.
    'mapped.js': `'use strict';\nfunction handle() {}\n//# sourceMappingURL=mapped.js.map\n`,
    'mapped.js.map': JSON.stringify({ version: 3, sources: ['app.ts'], names: [], mappings: ';AASE' }),
  });
  const script = join(folder, 'mapped.js');
  const name = (tier: string) => `JS:${tier}handle ${script}:2:16`;
  writeFileSync(join(folder, 'a_1.json'), manifest(1, [{ address: '0x7ec0000000000018', name: name('~') }]));
  writeFileSync(
    join(folder, 'a_2.json'),
    manifest(2, [
      { address: '0x7ec0000000000018', name: 'JS:~other /x.js:1:1' },
      { address: '0x7ec0000000000028', name: name('*') },
    ]),
  );
  const profile = readProfile(join(folder, 'a'));
  await symbolize(profile);
  const rows = topRows(profile, { by: 'line', sort: 'inuseSpace', cumulative: true });
  const row = rows.find((entry) => entry.name === 'handle');
  t.match(row, { file: join(folder, 'app.ts'), line: 10, package: '(program)', cumulative: { inuseSpace: 200 } });
  t.equal(row?.processes.length, 2);

  t.test('an inline map, and none', async (t) => {
    const map = Buffer.from(JSON.stringify({ version: 3, sources: ['src/in.ts'], names: [], mappings: ';AASE' }));
    const url = `data:application/json;base64,${map.toString('base64')}`;
    writeFileSync(script, `\nfunction handle() {}\n//# sourceMappingURL=${url}\n`);
    const frameOf = async () => {
      const read = readProfile(join(folder, 'a'));
      await symbolize(read);
      return read.locations.flatMap((location) => location.frames).find((frame) => frame.function === 'handle');
    };
    t.match(await frameOf(), { file: join(folder, 'src/in.ts'), line: 10, column: 3 });
    writeFileSync(script, '//# sourceMappingURL=gone.map\n');
    t.match(await frameOf(), { file: script, line: 2, column: 16 });
    writeFileSync(script, '//# sourceMappingURL=data:application/json,{"version":9}\n');
    t.match(await frameOf(), { file: script, line: 2 });
  });

  t.test('a manifest without them, and a damaged one', async (t) => {
    t.match(readProfile(join(folder, 'b')).samples, [{ inuseSpace: 100 }]);
    const { code: _, ...old } = JSON.parse(manifest(1, []));
    t.match(parseManifest(JSON.stringify(old), 'x.json'), { pid: 1 });
    t.throws(() => parseManifest(manifest(1, [{ address: 5 }]), 'x.json'), { code: 'ERR_FORKHEAP_BAD_FILE' });
  });
});
