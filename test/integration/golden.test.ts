// Known blocks from known places: each must be put on the right function, line and package.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { readProfile } from '../../src/files/profile.js';
import { type Sample, totalValues } from '../../src/profile/model.js';
import { type Row, topRows } from '../../src/report/rows.js';
import { resolveStack, type ShownFrame, sampleOwner } from '../../src/symbolize/resolve.js';
import { symbolize } from '../../src/symbolize/symbolize.js';
import { sampleThread } from '../../src/symbolize/thread.js';
import { root } from '../helpers/process.js';
import { runProfiled } from '../helpers/profiles.js';

/** Of a native place its function; lines are those of the comments in the source. */
const NATIVE: Record<string, string> = {
  plain: 'golden::Plain',
  deep: 'golden::Inner',
  inlined: 'golden::Inlined',
  'inlined-twice': 'golden::InlinedTwice',
  'template-method': 'golden::Table<long>::Grow',
  'template-function': 'golden::Several<char, 7>',
  lambda: 'golden::UseLambda(unsigned long)::<lambda>::operator()',
  virtual: 'golden::Circle::Draw',
  constructor: 'golden::Document::Document',
  new: 'golden::ByNew',
  calloc: 'golden::ByCalloc',
  realloc: 'golden::ByRealloc',
  memalign: 'golden::ByMemalign',
  strdup: 'golden::ByStrdup',
  wrapper: 'golden::ParseDocument',
  'native-thread': 'golden::OnThread',
};

/** Of a place in JavaScript the function that called golden::Leak; where it is not by a comment, its file and line. */
const JAVASCRIPT: Record<string, string | [name: string, file: string, line: number]> = {
  interpreted: 'interpreted',
  'first-line': 'twoLines',
  'second-line': 'twoLines',
  baseline: ['baseline', 'places.cjs', 0],
  sparkplug: 'sparkplug',
  maglev: 'maglev',
  optimized: 'optimized',
  'optimized-inlined': 'small',
  'inlined-from-package': ['passOn', 'package.cjs', 0],
  'class-constructor': 'Cache',
  getter: 'get entry',
  setter: 'set entry',
  'static-method': 'open',
  'private-method': '#hide',
  'to-primitive': '(anonymous)', // V8 has no name for it
  generator: 'generate',
  'async-generator': 'stream',
  'async-function': 'waitThenLeak',
  promise: 'whenDone',
  timer: 'onTimer',
  'next-tick': 'onTick',
  listener: 'listener',
  'array-map': '(anonymous)',
  'json-reviver': 'revive',
  proxy: 'trap',
  'napi-callback': 'calledBack',
  bound: ['interpreted', 'places.cjs', 0],
  'vm-script': ['inScript', 'virtual-script.js', 3],
  'other-package': 'inPackage',
  'worker-thread': 'inWorker',
};

const THREADS = new Map([
  ['native-thread', 'threads of golden-native'],
  ['worker-thread', 'worker threads'],
]);

const source = (name: string): string => join(root, 'test/fixtures/golden', name);

/** The lines that comments such as `// @plain` are in, by place; and those with `text`. */
function linesIn(name: string): Map<string, number> {
  const lines = new Map<string, number>();
  for (const [i, text] of readFileSync(source(name), 'utf8').split('\n').entries()) {
    const place = /\/\/ @([\w-]+)$/.exec(text)?.[1];
    if (place !== undefined) lines.set(place, i + 1);
    const name = /^function (baseline|sparkplug|maglev|aroundPackage)\(/.exec(text)?.[1];
    if (name !== undefined) lines.set(name === 'baseline' ? name : `function ${name}`, i + 1);
  }
  const interpreted = lines.get('interpreted');
  if (interpreted !== undefined) lines.set('bound', interpreted);
  return lines;
}

/** The frame that a report puts the sample on, and the innermost one in JavaScript. */
function framesOf(sample: Sample): { self: ShownFrame | undefined; script: ShownFrame | undefined } {
  const frames = [...resolveStack(sample)];
  return {
    self: frames.find((frame) => !frame.wrapper),
    script: frames.find((frame) => frame.mapping === '' && !frame.internal),
  };
}

/** Both find every block: each is 25 times as large as the interval and more. */
const MODES = { exact: [], sampled: ['--mode', 'sampled', '--sample-interval', '4096'] };

for (const [mode, flags] of Object.entries(MODES)) {
  t.test(`${mode}: every block is put on its function, line and package`, (t) => everyBlock(t, mode, flags));
}

/** What stands for a place in JavaScript. In sampled mode the function around it stands for one inlined from another file. */
function scriptPlace(place: string, mode: string, lines: ReadonlyMap<string, number>): [string, string, number] {
  if (place === 'inlined-from-package' && mode === 'sampled') {
    return ['aroundPackage', 'places.cjs', lines.get('function aroundPackage') ?? 0];
  }
  const known = JAVASCRIPT[place] ?? '';
  const line = lines.get(place) ?? 0;
  if (typeof known === 'string') return [known, place === 'other-package' ? 'package.cjs' : 'places.cjs', line];
  return [known[0], known[1], known[2] || line];
}

async function everyBlock(t: Test, mode: string, modeFlags: string[]): Promise<void> {
  const app = t.testdir({ node_modules: { 'golden-native': {}, 'golden-js': {} } });
  const native = join(app, 'node_modules/golden-native');
  const flags = ['-O2', '-g', '-std=c++17', '-fPIC', '-shared', '-pthread', '-fvisibility=hidden'];
  execFileSync('g++', [
    ...flags,
    `-I${join(root, 'node_modules/node-api-headers/include')}`,
    '-o',
    join(native, 'golden.node'),
    source('native.cc'),
  ]);
  writeFileSync(join(native, 'package.json'), JSON.stringify({ main: 'golden.node' }));
  mkdirSync(join(app, 'node_modules/golden-js'), { recursive: true });
  copyFileSync(source('package.cjs'), join(app, 'node_modules/golden-js/index.js'));
  copyFileSync(source('places.cjs'), join(app, 'places.cjs'));

  const node = process.env.GOLDEN_NODE ?? process.execPath;
  const command = [node, '--allow-natives-syntax', join(app, 'places.cjs'), Object.keys(NATIVE).join(), mode];
  const { prefix, result } = await runProfiled(t, command, {
    prefix: join(app, 'profiles'),
    flags: modeFlags,
  });
  const { pid, sizes, major } = JSON.parse(result.stdout) as { pid: number; sizes: [string, number][]; major: number };
  const profile = readProfile(prefix, { pids: [pid] });
  t.equal((await symbolize(profile)).error, null);

  const lines = new Map(['native.cc', 'places.cjs', 'package.cjs'].flatMap((name) => [...linesIn(name)]));
  const tiers = mode === 'exact' ? [] : major < 24 ? ['sparkplug'] : ['sparkplug', 'maglev'];
  for (const tier of tiers) lines.set(tier, lines.get(`function ${tier}`) ?? 0);
  const places = [...Object.keys(NATIVE), ...Object.keys(JAVASCRIPT)];
  t.same(new Set(sizes.map(([place]) => place)), new Set(places), 'the program went through all of them');
  const rows = topRows(profile, { by: 'javascript', sort: 'inuseSpace' });
  const sum = rows.reduce((total, row) => total + row.self.inuseSpace, 0);
  t.equal(sum, totalValues(profile).inuseSpace, 'by line of JavaScript, every byte is counted once');
  const shownFile = (file = '') => basename(file).replace('index.js', 'package.cjs');
  let hits = 0;
  for (const place of places) {
    const bytes = sizes.find(([name]) => name === place)?.[1] ?? 0;
    const found = profile.samples.filter((sample) => sample.inuseObjects > 0 && sample.inuseSpace === bytes);
    const described = found.map((sample) => {
      const { self, script } = framesOf(sample);
      const shown = place in NATIVE ? self : script;
      return {
        leaf: self?.name,
        name: shown?.name,
        place: `${shownFile(shown?.file)}:${shown?.line}`,
        owner: sampleOwner(sample),
        tail: self?.owner,
      };
    });
    const [name, file, line] =
      place in NATIVE ? [NATIVE[place], 'native.cc', lines.get(place)] : scriptPlace(place, mode, lines);
    const expected = {
      leaf: place in NATIVE ? name : 'golden::Leak',
      name,
      place: `${file}:${line}`,
      owner: 'golden-native',
      tail: 'golden-native',
    };
    if (t.same(described, [expected], place)) hits++;
    if (Object.hasOwn(JAVASCRIPT, place)) {
      const rowOf = (row: Row) => row.name === name && row.line === Number(line) && shownFile(row.file) === file;
      const row = rows.find(rowOf);
      t.ok((row?.self.inuseSpace ?? 0) >= bytes, `${place}: a row of the table by line of JavaScript`);
    }
    const thread = THREADS.get(place);
    if (thread !== undefined) t.same(found.map(sampleThread), [thread], `${place}: its thread`);
  }
  t.comment(`${hits} of ${places.length} places`);
  t.ok(places.length >= 30);
}
