import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Location, Profile } from '../../src/profile/model.js';
import { runSymbolizer } from '../../src/symbolize/client.js';
import { symbolize } from '../../src/symbolize/symbolize.js';

const SOURCE = `
#include <cstdlib>
namespace room {
__attribute__((noinline)) int Outer(int n) { return rand() + n; }
static __attribute__((noinline)) int Inner(int n) { return rand() * n; }
}
extern "C" __attribute__((visibility("default"))) int exported(int n) { return room::Outer(n) - room::Inner(n); }
`;

/** Builds a library in a folder whose name is no easy one; returns its path and the address of its functions. */
function build(t: Test, ...flags: string[]): { path: string; offsets: Map<string, number> } {
  const folder = join(t.testdir({ 'fólder with\ttab': {} }), 'fólder with\ttab');
  const source = join(folder, 'a.cc');
  const path = join(folder, 'liba.so');
  writeFileSync(source, SOURCE);
  execFileSync('g++', ['-O1', '-fPIC', '-shared', ...flags, '-o', path, source]);
  const offsets = new Map<string, number>();
  for (const line of execFileSync('nm', ['--defined-only', path], { encoding: 'utf8' }).split('\n')) {
    const [address = '', , name = ''] = line.split(' ');
    // Code is mapped at the same offset as its address here: one text segment, linked by GNU ld.
    offsets.set(name, Number.parseInt(address, 16) + 4);
  }
  return { path, offsets };
}

const offsetOf = (offsets: Map<string, number>, part: string): number => {
  for (const [name, offset] of offsets) if (name.includes(part)) return offset;
  throw new Error(`no ${part}`);
};

/** A profile of nothing but locations. */
function profileAt(file: string, offsets: number[], buildId = ''): Profile {
  const mapping = { start: 0, limit: 2 ** 40, offset: 0, file, buildId };
  const locations = offsets.map((offset): Location => ({ address: offset + 1, mapping, offset, frames: [] }));
  return { processes: [], mappings: [mapping], locations, samples: [], warnings: [] };
}

const functions = (profile: Profile) => profile.locations.map(({ frames }) => frames.map((frame) => frame.function));

t.test('names from DWARF, with file and line', async (t) => {
  const { path, offsets } = build(t, '-g');
  const profile = profileAt(path, [offsetOf(offsets, 'Outer'), offsetOf(offsets, 'Inner'), offsetOf(offsets, 'Outer')]);
  const result = await symbolize(profile);
  t.same(functions(profile), [['room::Outer(int)'], ['room::Inner(int)'], ['room::Outer(int)']]);
  t.match(profile.locations[0]?.frames, [{ file: join(path, '..', 'a.cc'), line: 4 }]);
  t.match(result, { symbolized: 3, unsymbolized: [], error: null });
});

t.test('names from .symtab', async (t) => {
  const { path, offsets } = build(t);
  const profile = profileAt(path, [offsetOf(offsets, 'Inner'), offsetOf(offsets, 'exported')]);
  await symbolize(profile);
  t.same(functions(profile), [['room::Inner(int)'], ['exported']]);
  t.match(profile.locations[0]?.frames, [{ file: '', line: 0 }]);
});

t.test('of stripped code the exported names only', async (t) => {
  const { path, offsets } = build(t, '-fvisibility=hidden');
  execFileSync('strip', [path]);
  const profile = profileAt(path, [offsetOf(offsets, 'exported'), offsetOf(offsets, 'Inner')]);
  const result = await symbolize(profile);
  t.same(functions(profile), [['exported'], []], 'a neighbour gives nobody its name');
  t.match(result.unsymbolized, [{ file: path, reason: 'no symbol there', locations: 1 }]);
});

t.test('names from a separate debug file', async (t) => {
  const { path, offsets } = build(t, '-g', '-fvisibility=hidden');
  execFileSync('objcopy', ['--only-keep-debug', path, `${path}.debug`]);
  execFileSync('strip', [path]);
  execFileSync('objcopy', [`--add-gnu-debuglink=${path}.debug`, path], { cwd: join(path, '..') });
  const profile = profileAt(path, [offsetOf(offsets, 'Inner')]);
  await symbolize(profile);
  t.same(functions(profile), [['room::Inner(int)']]);
  t.match(profile.locations[0]?.frames, [{ line: 5 }]);
});

t.test('another build of the file gives no names', async (t) => {
  const { path, offsets } = build(t, '-g', '-Wl,--build-id=0x0123456789abcdef');
  const offset = offsetOf(offsets, 'Outer');
  const same = profileAt(path, [offset], '0123456789abcdef');
  await symbolize(same);
  t.same(functions(same), [['room::Outer(int)']]);
  const other = profileAt(path, [offset], 'ff'.repeat(20));
  const { unsymbolized } = await symbolize(other);
  t.same(functions(other), [[]]);
  t.match(unsymbolized, [{ file: path, reason: /another build .*0123456789abcdef/ }]);
});

t.test('files that are missing or no ELF files', async (t) => {
  const { path, offsets } = build(t, '-g');
  const offset = offsetOf(offsets, 'Outer');
  const folder = join(path, '..');
  const requests = [join(folder, 'gone'), join(folder, 'a.cc'), folder, '/dev/zero', path].map((file) => ({
    path: file,
    buildId: '',
    offsets: [offset],
  }));
  const answers = await runSymbolizer(requests);
  t.match(
    answers.slice(0, 4).map(({ reason }) => reason),
    ['file not found', /ELF/, 'not a regular file', 'not a regular file'],
  );
  t.match(answers[4]?.frames, [[{ function: 'room::Outer(int)' }]], 'and the others have their names');
});

t.test('damaged ELF files cost their own names only', async (t) => {
  const { path, offsets } = build(t, '-g');
  const original = readFileSync(path);
  const wanted = [...offsets.values()].filter((offset) => offset > 0);
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48271) % 0x7fffffff;
    return seed % below;
  };
  const requests = Array.from({ length: 60 }, (_, i) => {
    const bytes = Buffer.from(original.subarray(0, i % 3 === 0 ? random(original.length) : original.length));
    for (let n = 0; n < 50; n++) if (bytes.length > 64) bytes[4 + random(bytes.length - 4)] = random(256);
    const damaged = `${path}.${i}`;
    writeFileSync(damaged, bytes);
    return { path: damaged, buildId: '', offsets: wanted };
  });
  const answers = await runSymbolizer(requests);
  t.ok(answers.every(({ frames }) => frames.length === wanted.length));
});

t.test('without a symbolizer', async (t) => {
  const before = process.env.FORKHEAP_SYMBOLIZER;
  t.teardown(() => {
    if (before === undefined) delete process.env.FORKHEAP_SYMBOLIZER;
    else process.env.FORKHEAP_SYMBOLIZER = before;
  });
  const { path, offsets } = build(t, '-g');
  for (const program of [join(path, 'nowhere'), path, '/bin/false', '/bin/true']) {
    process.env.FORKHEAP_SYMBOLIZER = program;
    const result = await symbolize(profileAt(path, [offsetOf(offsets, 'Outer')]));
    t.match(result, { symbolized: 0, error: { code: 'ERR_FORKHEAP_SYMBOLIZER' } }, program);
    t.match(result.unsymbolized, [{ file: path, reason: 'the symbolizer did not run', locations: 1 }]);
  }
  rmSync(path);
});

t.test("node's own names come within a second", async (t) => {
  // Its text segment, wherever that lies in the file.
  const offsets = Array.from({ length: 5000 }, (_, i) => 0x800000 + i * 4099);
  const profile = profileAt(process.execPath, offsets);
  const start = performance.now();
  const { symbolized } = await symbolize(profile);
  t.ok(performance.now() - start < 1000, `${Math.round(performance.now() - start)} ms`);
  t.ok(symbolized > 4000, `${symbolized} of 5000`);
});
