// What a leak looks like, and what does not: series of numbers.
import t from 'tap';
import { chanceOf, type Judgement, judgeSeries, type Point, sameRate, tailOf } from '../../src/leaks/growth/judge.js';

/** A series of 8 rounds of 100 calls; `held`: bytes after so many calls. */
function series(held: (calls: number) => number, first = 200): Point[] {
  return Array.from({ length: 9 }, (_, i): Point => {
    const bytes = held(first + 100 * i);
    return { iterations: 100 * i, bytes, objects: bytes / 10, samples: bytes / 10 };
  });
}
const trendOf = (held: (calls: number) => number, first?: number): string =>
  judgeSeries(series(held, first), false).trend;

t.test('exact', async (t) => {
  t.equal(
    trendOf((calls) => 30 * calls),
    'grows',
  );
  t.equal(
    trendOf((calls) => 10 * Math.floor(calls / 7)),
    'grows',
    'one call in seven',
  );
  t.equal(
    trendOf(() => 5000),
    'steady',
  );
  t.equal(
    trendOf((calls) => 10 * Math.min(calls, 600)),
    'steady',
    'a cache that is full after half of the rounds',
  );
  t.equal(
    trendOf((calls) => 8 * 2 ** Math.ceil(Math.log2(calls))),
    'steady',
    'a buffer that doubles',
  );
  t.equal(
    trendOf((calls) => 1000 * (1 - Math.exp(-calls / 150))),
    'unclear',
    'a cache with fewer and fewer free places',
  );
  t.equal(
    trendOf((calls) => (calls * 30) % 4000),
    'steady',
    'a write buffer that is emptied when it is full',
  );
  t.equal(
    trendOf((calls) => 10 * Math.floor(calls / 250)),
    'unclear',
    'one call in 250: more of them have to tell',
  );
  t.equal(
    trendOf((calls) => 1000 - calls / 10),
    'steady',
    'what shrinks',
  );

  const leak = judgeSeries(
    series((calls) => 30 * calls + (calls % 200 === 0 ? 40 : 0)),
    false,
  );
  t.ok(Math.abs(leak.bytesPerIteration - 30) <= leak.margin, `${leak.bytesPerIteration} ± ${leak.margin}`);
  t.ok(leak.margin > 0 && leak.margin < 0.3);
  t.equal(leak.confidence, 1 - 1 / 256);
});

t.test('growth has to go on at the same rate', async (t) => {
  const rate = (bytesPerIteration: number, margin = 0): Judgement => ({
    trend: 'grows',
    bytesPerIteration,
    objectsPerIteration: 1,
    margin,
    confidence: 1,
    needed: 0,
  });
  t.ok(sameRate(rate(100), rate(99)));
  t.notOk(sameRate(rate(100), rate(55)), 'it fades');
  t.notOk(sameRate(rate(55), rate(100)));
  t.ok(sameRate(rate(100, 20), rate(55, 20)), 'within what is known');
});

t.test('sampled', async (t) => {
  const judge = (samples: readonly number[]): Judgement =>
    judgeSeries(
      samples.map((count, i) => ({ iterations: 1000 * i, bytes: count * 524288, objects: count, samples: count })),
      true,
    );
  const leak = judge([0, 5, 11, 14, 20, 26, 29, 36, 40]);
  t.equal(leak.trend, 'grows');
  t.equal(leak.bytesPerIteration, (40 * 524288) / 8000);
  t.ok(leak.margin / leak.bytesPerIteration > 0.3, 'as good as 40 samples are');
  t.equal(judge([100, 104, 97, 108, 101, 110, 99, 105, 103]).trend, 'steady', 'what comes and goes');
  const few = judge([0, 0, 1, 1, 2, 3, 3, 4, 4]);
  t.equal(few.trend, 'unclear');
  t.ok(few.needed >= 8000 * 4, `${few.needed} calls would do`);
  t.equal(judge([0, 0, 0, 0, 0, 0, 0, 0, 1]).trend, 'steady', 'a single sample says nothing');
});

t.test('chance', async (t) => {
  t.equal(chanceOf(8, 8), 1 / 256);
  t.equal(chanceOf(0, 8), 1);
  t.ok(Math.abs(chanceOf(7, 8) - 9 / 256) < 1e-12);
  for (const [z, p] of [
    [1, 0.158655],
    [2, 0.0227501],
    [4, 3.16712e-5],
  ] as const) {
    t.ok(Math.abs(tailOf(z) / p - 1) < 1e-4, `${z} deviations: ${tailOf(z)}`);
  }
});
