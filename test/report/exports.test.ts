import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Profile as Message } from 'pprof-format';
import t, { type Test } from 'tap';
import { diffProfiles } from '../../src/profile/diff.js';
import { totalValues } from '../../src/profile/model.js';
import { toCollapsed } from '../../src/report/collapsed.js';
import { toDhat } from '../../src/report/dhat.js';
import { toHeapProfile } from '../../src/report/heapprofile.js';
import { toPprof } from '../../src/report/pprof.js';
import { toSpeedscope } from '../../src/report/speedscope.js';
import { foldInternals } from '../../src/symbolize/fold.js';
import { openBrowser, openPage, textOf } from '../helpers/browser.js';
import { ADDON_STACK, BUFFER_STACK, Maker, START_STACK } from '../profile/made.js';

// Debian's package valgrind; older ones have it elsewhere.
const DH_VIEW = ['/usr/libexec', '/usr/lib', '/usr/lib/x86_64-linux-gnu']
  .map((folder) => `${folder}/valgrind/dh_view.html`)
  .find(existsSync) as string;

const maker = new Maker();
const whole = maker.profile([
  [1, START_STACK, 3000],
  [2, ADDON_STACK, 40_000],
  [2, BUFFER_STACK, 500],
  [3, ADDON_STACK, 20_000],
]);
const profile = foldInternals(whole);
const total = totalValues(profile).inuseSpace;

t.test('pprof, read by its own library and by go tool pprof', async (t) => {
  const bytes = toPprof(whole);
  const message = Message.decode(gunzipSync(bytes));
  const text = (index: number | bigint) => message.stringTable.strings[Number(index)];
  t.same(
    message.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`),
    ['alloc_objects/count', 'alloc_space/bytes', 'inuse_objects/count', 'inuse_space/bytes'],
  );
  t.equal(text(message.defaultSampleType), 'inuse_space');
  t.equal(`${text(message.periodType?.type ?? 0)}/${text(message.periodType?.unit ?? 0)}`, 'space/bytes');
  t.equal(message.sample.length, 4);

  const file = join(t.testdir({}), 'x.pb.gz');
  const pprof = (...args: string[]) =>
    execFileSync('go', ['tool', 'pprof', ...args, file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  writeFileSync(file, bytes);
  t.match(pprof('-top', '-unit=b'), new RegExp(` of ${total}B total[\\s\\S]*60000B .*std::vector`));
  t.match(pprof('-top', '-sample_index=alloc_objects'), / of 8 total/);
  t.match(pprof('-top', '-unit=b', '-tagfocus=pid=3'), / of 63500B total[\s\S]*20000B/);
  t.match(pprof('-list=handleRequest', '-unit=b'), /server\.js/);
  writeFileSync(file, toPprof(diffProfiles(maker.profile([[2, ADDON_STACK, 50_000]]), whole)));
  t.match(pprof('-top', '-unit=b'), /-10000B|10000B/);
});

t.test('collapsed', async (t) => {
  const lines = toCollapsed(profile).trimEnd().split('\n');
  t.equal(lines.length, 4);
  t.match(lines[0], /^node worker\.js 1 \(1\);ossl_asn1_enc_save 3000$/);
  const sum = lines.reduce((bytes, line) => bytes + Number(/ (-?\d+)$/.exec(line)?.[1]), 0);
  t.equal(sum, total);
  const difference = diffProfiles(whole, maker.profile([[1, START_STACK, 2000]]));
  t.match(toCollapsed(difference), / -1000\n/, 'a diff is signed');
  t.match(toCollapsed(new Maker().profile([[1, ['/x.node!a;b\nc'], 1]])), /;a:b c 1\n$/);
});

t.test('DHAT', async (t) => {
  const json = JSON.parse(toDhat(profile));
  t.match(json, { dhatFileVersion: 2, mode: 'heap', verb: 'Allocated', bklt: true, bkacc: false });
  t.equal(json.pps.length, 3, 'processes together');
  const sum = (field: string) =>
    json.pps.reduce((bytes: number, point: Record<string, number>) => bytes + (point[field] ?? 0), 0);
  t.equal(sum('eb'), total);
  t.equal(sum('tb'), 2 * total);
  t.ok(json.pps.every((point: { fs: number[] }) => point.fs.every((frame) => typeof json.ftbl[frame] === 'string')));
  t.ok(json.ftbl.includes('0x0: handleRequest (/app/server.js:25)'));
  t.ok(
    json.ftbl.some((frame: string) => / \(in \/usr\/bin\/node\)$/.test(frame)),
    'as valgrind has functions without lines',
  );
  const without = JSON.parse(toDhat(new Maker().profile([[1, [], 1]])));
  t.same(without.ftbl, ['[root]', '[no stack]']);
});

t.test("valgrind's viewer loads the DHAT file", async (t) => {
  const file = join(t.testdir({}), 'heap.dhat.json');
  writeFileSync(file, toDhat(profile));
  const { page, complaints } = await openPage(await openBrowser(t));
  await page.goto(pathToFileURL(DH_VIEW).href);
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByText('Times {').waitFor();
  const seen = await textOf(page.locator('body'));
  const grouped = (bytes: number) => bytes.toLocaleString('en-US');
  t.match(seen, new RegExp(`Total: +${grouped(2 * total)} bytes`));
  for (const time of ['t-gmax', 't-end']) t.match(seen, new RegExp(`At ${time}: +${grouped(total)} bytes`), time);
  t.match(seen, /handleRequest \(\/app\/server\.js:25\)/);
  t.same(complaints, []);
});

t.test('heapprofile', async (t) => {
  interface Node {
    callFrame: { functionName: string; url: string; lineNumber: number };
    selfSize: number;
    id: number;
    children: Node[];
  }
  const { head, samples } = JSON.parse(toHeapProfile(profile)) as {
    head: Node;
    samples: { size: number; nodeId: number }[];
  };
  const all: Node[] = [];
  const visit = (node: Node): void => {
    all.push(node);
    node.children.forEach(visit);
  };
  visit(head);
  t.equal(head.callFrame.functionName, '(root)');
  t.equal(
    all.reduce((sum, node) => sum + node.selfSize, 0),
    total,
  );
  t.equal(
    samples.reduce((sum, sample) => sum + sample.size, 0),
    total,
  );
  t.equal(new Set(all.map((node) => node.id)).size, all.length);
  const handle = all.find((node) => node.callFrame.functionName === 'handleRequest');
  t.match(handle, { callFrame: { url: 'file:///app/server.js', lineNumber: 24 } }, 'lines from 0');
});

/** What speedscope's own importer makes of a file. */
async function speedscope(t: Test, files: Record<string, string | Uint8Array>): Promise<Record<string, string>> {
  const release = join(dirname(createRequire(import.meta.url).resolve('speedscope/package.json')), 'dist/release');
  const browser = await openBrowser(t);
  const folder = t.testdir({});
  const seen: Record<string, string> = {};
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), content);
    const { page } = await openPage(browser);
    await page.goto(pathToFileURL(join(release, 'index.html')).href);
    await page.locator('input[type=file]').setInputFiles(join(folder, name));
    await page.getByText('Left Heavy').first().waitFor();
    // Its list of functions, with their values.
    await page.getByText('Sandwich').first().click();
    await page
      .getByText(/handleRequest|ossl_asn1_enc_save/)
      .first()
      .waitFor({ state: 'attached' });
    await page.getByText('Symbol Name').first().waitFor();
    seen[name] = await textOf(page.locator('body'));
    await page.close();
  }
  return seen;
}

t.test("speedscope's importer loads what we write", async (t) => {
  const seen = await speedscope(t, {
    'a.speedscope.json': toSpeedscope(profile),
    'a.heapprofile': toHeapProfile(profile),
    'a.collapsed.txt': toCollapsed(profile),
    'a.pb.gz': toPprof(profile),
  });
  // It begins with the first of three profiles, the first process.
  t.match(seen['a.speedscope.json'], /node worker\.js 1 \(1\)[\s\S]*1\/3|1\/3[\s\S]*node worker\.js 1/);
  t.match(seen['a.speedscope.json'], /2\.93 KB[\s\S]*ossl_asn1_enc_save|ossl_asn1_enc_save/);
  for (const name of ['a.heapprofile', 'a.collapsed.txt', 'a.pb.gz']) t.match(seen[name], /handleRequest/, name);
});

t.test('speedscope', async (t) => {
  const json = JSON.parse(toSpeedscope(profile, { value: 'allocSpace' }));
  t.equal(json.profiles.length, 3);
  t.match(json.profiles[1], { type: 'sampled', unit: 'bytes', name: 'node worker.js 2 (2)', endValue: 81_000 });
  t.ok(
    json.profiles.every((entry: { samples: number[][] }) =>
      entry.samples.flat().every((frame) => frame < json.shared.frames.length),
    ),
  );
});
