// No profile is cut, however many stacks it has: some versions of gperftools stop at 1 MiB.
import { readFileSync, statSync } from 'node:fs';
import t, { type Test } from 'tap';
import { leaksIn, program, tempPrefix } from '../helpers/fixtures.js';
import { readTop, rowOf } from '../helpers/forkheap.js';
import { callApi } from '../helpers/preloaded.js';
import { leaksOf, runProfiled } from '../helpers/profiles.js';

const STACKS = 20_000;
const BYTES = 4567; // no other block has this size

/** The samples of a dump: its header, and a line for each stack. */
function readSamples(text: string): { header: number[]; lines: { values: number[]; stack: string }[] } {
  const body = text.slice(0, text.indexOf('\nMAPPED_LIBRARIES:'));
  const [header, ...lines] = body.split('\n').filter((line) => line !== '');
  const parse = (line = ''): { values: number[]; stack: string } => {
    const [, a, b, c, d, stack = ''] =
      /^(?:heap profile:)? *(\d+): +(\d+) \[ *(\d+): +(\d+)\] @ (.*)$/.exec(line) ?? [];
    return { values: [a, b, c, d].map(Number), stack };
  };
  return { header: parse(header).values, lines: lines.map(parse) };
}

/** Every stack is there, and the samples add up to the header. */
function isWhole(t: Test, text: string): number[] {
  const { header, lines } = readSamples(text);
  const ours = lines.filter(({ values }) => values.join() === [1, BYTES, 1, BYTES].join());
  t.equal(ours.length, STACKS, 'samples of one block');
  t.equal(new Set(ours.map(({ stack }) => stack)).size, STACKS, 'no stack twice');
  const sums = [0, 1, 2, 3].map((i) => lines.reduce((sum, { values }) => sum + (values[i] as number), 0));
  t.same(sums, header, 'the samples add up to the header');
  return header;
}

t.test(`${STACKS} stacks in a dump`, async (t) => {
  const { prefix, result } = await runProfiled(t, program('distinct-stacks.mjs', STACKS, BYTES));
  const [{ pid } = { pid: 0 }] = leaksIn(result.stdout);
  const dump = `${prefix}_${pid}.0001.heap`;
  t.ok(statSync(dump).size > 4 << 20, 'far larger than 1 MiB');
  const header = isWhole(t, readFileSync(dump, 'utf8'));

  const report = await readTop(t, prefix);
  const { inuseObjects, inuseSpace, allocObjects, allocSpace } = report.total;
  t.same([inuseObjects, inuseSpace, allocObjects, allocSpace], header, 'top has the same total');
  t.match(rowOf(report, 'leaky::NextOfStack')?.self, { inuseObjects: STACKS, inuseSpace: STACKS * BYTES });
  t.equal((await leaksOf(t, prefix)).size, 0, 'nothing is put on another function');
});

t.test(`${STACKS} stacks in text() and in dump()`, async (t) => {
  const prefix = tempPrefix(t);
  const code = `
    const profile = api.startHeapProfile({ prefix });
    leaky.distinctStacks(${STACKS}, ${BYTES});
    require('node:fs').writeFileSync(prefix + '.txt', profile.text());
    console.log(JSON.stringify(profile.dump()));
  `;
  const dump = await callApi<string>(t, prefix, code);
  isWhole(t, readFileSync(`${prefix}.txt`, 'utf8'));
  isWhole(t, readFileSync(dump, 'utf8'));
});
