// The engine puts new code where old code was: a frame is named by what lay there when the block was allocated.
import t from 'tap';
import { readProfile } from '../../src/files/profile.js';
import { symbolize } from '../../src/symbolize/symbolize.js';
import { root } from '../helpers/process.js';
import { runProfiled } from '../helpers/profiles.js';

const FUNCTIONS = 10_000;

t.test(`no wrong name in ${FUNCTIONS} samples of functions that are gone`, async (t) => {
  const program = `${root}/test/fixtures/programs/reused-code.cjs`;
  const node = process.env.GOLDEN_NODE ?? process.execPath;
  const { prefix, result } = await runProfiled(t, [
    node,
    '--expose-gc',
    '--no-compilation-cache',
    program,
    String(FUNCTIONS),
  ]);
  const { pid, smallest, largest } = JSON.parse(result.stdout) as { pid: number; smallest: number; largest: number };
  const profile = readProfile(prefix, { pids: [pid] });
  await symbolize(profile);

  const found = new Map<number, string[]>();
  for (const sample of profile.samples) {
    const native = sample.locations.some(({ frames }) =>
      frames.some((frame) => frame.function.startsWith('leaky::LeakBlocks')),
    );
    if (!native) continue;
    const number = sample.allocSpace / sample.allocObjects - smallest;
    const script = sample.locations.find(({ mapping, frames }) => mapping === null && frames.length > 0);
    const { function: name, file, line } = script?.frames[0] ?? { function: '', file: '', line: 0 };
    found.set(number, [...(found.get(number) ?? []), `${name} ${file}:${line}`]);
  }
  let right = 0;
  const wrong: string[] = [];
  for (let i = 0; i < FUNCTIONS; i++) {
    const expected = `made_${i} /made/script-${i % 100}.js:${(i % 40) + 1}`;
    if (found.get(i)?.join() === expected) right++;
    else wrong.push(`${expected}: ${found.get(i)?.join() ?? 'missing'}`);
  }
  t.same(wrong.slice(0, 5), [], 'every name, file and line is right');
  t.comment(`${right} of ${FUNCTIONS} right`);
  t.equal(right, FUNCTIONS);
  // An interpreted function has some 500 bytes of code of its own or more.
  t.ok(largest < (FUNCTIONS * 500) / 4, `the code of all never was there at once: at most ${largest} bytes`);
});
