import { execFileSync, spawnSync } from 'node:child_process';
import t from 'tap';
import { findProcesses } from '../../src/files/find.js';
import { readLatest, withManifests } from '../../src/files/read.js';
import { mergeProfiles } from '../../src/profile/merge.js';
import type { Profile } from '../../src/profile/model.js';
import { parseHeapText } from '../../src/profile/parse.js';
import { type TopJson, type TopOptions, topJson, topText } from '../../src/report/top.js';
import { type SymbolizeResult, symbolize } from '../../src/symbolize/symbolize.js';
import { EXACT, pieces } from '../profile/texts.js';
import { headerOf, makeKnown } from './known.js';

const DEFAULTS: TopOptions = { by: 'function', sort: 'inuseSpace', cumulative: false, limit: 0, perProcess: false };
const TEXT = { width: 100, color: false };

async function read(dump: string): Promise<[Profile, SymbolizeResult]> {
  const profile = readLatest(withManifests(findProcesses([dump])));
  return [profile, await symbolize(profile)];
}

const rowOf = (json: TopJson, name: string) => json.rows.find((row) => row.name === name);

t.test('a program with known allocations', async (t) => {
  const known = await makeKnown(t);
  const [profile, symbols] = await read(known.exactDump);
  const json = topJson(profile, symbols, DEFAULTS);

  t.test('every place has its objects and bytes', async (t) => {
    const expected: [string, number, number][] = [
      ['known::Direct', 100, 100_000],
      ['known::Inlined', 10, 33_330],
      ['known::Wrapped', 7, 700],
      ['known::Cleared', 5, 2560],
      ['known::Aligned', 1, 8192],
      ['known::Recursive', 9, 4500],
      ['library_allocate', 20, 6000],
    ];
    for (const [name, objects, bytes] of expected) {
      const self = { inuseObjects: objects, inuseSpace: bytes, allocObjects: objects, allocSpace: bytes };
      t.match(rowOf(json, name), { self }, name);
    }
    t.match(rowOf(json, 'known::Freed'), { self: { inuseSpace: 0, allocObjects: 50, allocSpace: 100_000 } });
    t.notOk(json.rows.some((row) => /malloc|calloc|strdup|operator new|::allocate$/.test(row.name)));
  });

  t.test('inlined calls, recursion, stripped code', async (t) => {
    t.match(rowOf(json, 'known::InlinedInto'), { self: { inuseSpace: 0 }, cumulative: { inuseSpace: 33_330 } });
    t.match(rowOf(json, 'known::Recursive'), { cumulative: { inuseObjects: 9, inuseSpace: 4500 } }, 'counted once');
    // Some systems' loaders allocate a little before main().
    const outside = headerOf(known.exactDump).inuse - (rowOf(json, 'main')?.cumulative.inuseSpace ?? 0);
    t.ok(outside >= 0 && outside < 512, `${outside} bytes are not below main()`);
    const hidden = json.rows.find((row) => row.mapping?.endsWith('libknown.so') && row.name !== 'library_allocate');
    t.match(hidden, { name: /^0x[0-9a-f]+ \(libknown\.so\)$/, self: { inuseObjects: 20, inuseSpace: 14_000 } });
    // System libraries have no names for their local functions.
    const unknown = json.unsymbolized.filter(({ file }) => /known/.test(file));
    t.match(unknown, [{ file: /libknown\.so$/, reason: 'no symbol there', locations: 1 }]);
  });

  t.test('lines and files', async (t) => {
    const lines = topJson(profile, symbols, { ...DEFAULTS, by: 'line' });
    t.match(rowOf(lines, 'known::Direct'), { file: /known\.cc$/, line: 20, self: { inuseSpace: 100_000 } });
    const files = topJson(profile, symbols, { ...DEFAULTS, by: 'mapping' });
    t.match(rowOf(files, 'libknown.so'), { self: { inuseSpace: 20_000 }, cumulative: { inuseSpace: 20_000 } });
    const packages = topJson(profile, symbols, { ...DEFAULTS, by: 'package' });
    t.match(rowOf(packages, '(program)'), { package: '(program)' });
    t.ok((rowOf(packages, '(program)')?.self.inuseObjects ?? 0) >= 152, 'the program and its library');
  });

  t.test('sums are those of the dump, of google-pprof and of go tool pprof', async (t) => {
    const { inuse, alloc } = headerOf(known.exactDump);
    t.match(json.total, { inuseSpace: inuse, allocSpace: alloc });
    t.equal(
      json.rows.reduce((sum, row) => sum + row.self.allocSpace, 0),
      alloc,
    );
    const run = (command: string, ...args: string[]) =>
      execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

    // gperftools 2.17 and newer come without it.
    if (spawnSync('google-pprof', ['--version']).error === undefined) {
      const perl = run('google-pprof', '--text', '--show_bytes', known.program, known.exactDump);
      t.match(perl, new RegExp(`^Total: ${inuse} B`, 'm'));
      for (const name of ['known::Direct', 'known::Recursive', 'known::Cleared', 'known::Aligned']) {
        const flat = new RegExp(`^ *(\\d+) .* ${name}$`, 'm').exec(perl)?.[1];
        t.equal(Number(flat), rowOf(json, name)?.self.inuseSpace, name);
      }
    }
    for (const [index, total] of [
      ['inuse_space', inuse],
      ['alloc_space', alloc],
    ] as const) {
      const go = run(
        'go',
        'tool',
        'pprof',
        '-top',
        '-unit=b',
        `-sample_index=${index}`,
        known.program,
        known.exactDump,
      );
      t.match(go, new RegExp(` of ${total}B total`), `go, ${index}`);
    }

    const [sampled, names] = await read(known.sampledDump);
    const ours = topJson(sampled, names, DEFAULTS);
    const go = run('go', 'tool', 'pprof', '-top', '-unit=b', known.sampledProgram, known.sampledDump);
    const theirs = Number(/ of (\d+)B total/.exec(go)?.[1]);
    // It drops the fractions of each stack, we only that of the sum.
    t.ok(Math.abs(ours.total.inuseSpace - theirs) <= sampled.samples.length, `${ours.total.inuseSpace} and ${theirs}`);
    const truth = 100_100_000;
    t.ok(Math.abs((rowOf(ours, 'known::Direct')?.self.inuseSpace ?? 0) / truth - 1) < 0.25, 'near what was allocated');
  });

  t.test('as text', async (t) => {
    const text = topText(profile, symbols, { ...DEFAULTS, limit: 3 }, TEXT);
    t.match(text, /97\.7 KiB +\d+\.\d% +97\.7 KiB +\d+\.\d% +100 +known::Direct +known\n/);
    t.match(text, /\d+ more rows with .*--limit 0 shows all/);
    t.match(text, /\d+ of \d+ addresses have no name:\n(?: {2}\d+ {2}.*\n)*? {2}1 {2}.*libknown\.so: no symbol there/);
    const narrow = topText(profile, symbols, DEFAULTS, { width: 80, color: false }).split('\n');
    t.ok(
      narrow.filter((line) => !line.includes('no symbol there')).every((line) => line.length <= 80),
      'fits 80 columns',
    );
    t.match(topText(profile, symbols, DEFAULTS, { width: 100, color: true }), '\u001b[1m');
  });
});

t.test('several processes', async (t) => {
  const profileOf = (pid: number, text: string) =>
    parseHeapText(pieces(text, 4096), {
      process: { id: `p_${pid}`, pid, kind: 'child', command: `node worker.js \u001b[2J${pid}` },
    });
  const merged = mergeProfiles([profileOf(11, EXACT), profileOf(12, EXACT.replaceAll('7f00000', '7e00000'))]);
  const symbols: SymbolizeResult = { symbolized: 0, unsymbolized: [], error: null };
  const name = '0x10100 (ümlaut.node)';

  t.test('one table for all', async (t) => {
    const json = topJson(merged, symbols, DEFAULTS);
    t.match(json.rows[0], { name, pids: [11, 12], self: { inuseSpace: 600 }, mapping: '/opt/my app/ümlaut.node' });
    t.match(json.processes, [
      { pid: 11, inuseSpace: 500 },
      { pid: 12, inuseSpace: 500 },
    ]);
    const text = topText(merged, symbols, DEFAULTS, TEXT);
    t.match(text, /PROCS/);
    t.notMatch(text, '\u001b', 'names do not command the terminal');
  });

  t.test('one table for each', async (t) => {
    const json = topJson(merged, symbols, { ...DEFAULTS, perProcess: true });
    for (const process of json.processes) t.match(process.rows?.[0], { name, self: { inuseSpace: 300 } });
    const text = topText(merged, symbols, { ...DEFAULTS, perProcess: true }, TEXT);
    t.match(text, /\n11 child {2}node worker\.js \?\[2J11\n/);
    t.match(text, /\n12 child/);
  });

  t.test('of a difference, values have their sign', async (t) => {
    const text = topText(merged, symbols, { ...DEFAULTS, signed: true, limit: 1 }, TEXT);
    t.match(text, /\n *11 +child +exact +\+500 B +\+/, 'those of the processes too');
    t.match(text, /\n1 more process\n/);
  });

  t.test('by process', async (t) => {
    const json = topJson(merged, symbols, { ...DEFAULTS, by: 'process' });
    t.equal(json.rows.length, 2);
    t.match(json.rows[0], { name: /^11 node/, self: { inuseSpace: 500 }, cumulative: { inuseSpace: 500 } });
  });

  t.test('sorted by other values', async (t) => {
    const objects = topJson(merged, symbols, { ...DEFAULTS, sort: 'allocObjects' });
    t.equal(objects.rows[0]?.self.allocObjects, 8);
    const cumulative = topJson(merged, symbols, { ...DEFAULTS, cumulative: true });
    t.match(cumulative.rows[0], { name: '0x1200 (node)', cumulative: { inuseSpace: 1000 } });
  });
});
