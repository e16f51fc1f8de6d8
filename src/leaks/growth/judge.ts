// Does a stack leak? Pure arithmetic over how much it held after each round.

/** What one stack held after a round. */
export interface Point {
  /** Calls of the function so far. */
  readonly iterations: number;
  readonly bytes: number;
  readonly objects: number;
  /** Live samples of a sampled profile; of an exact one the objects. */
  readonly samples: number;
}

/**
 * `steady`: it does not grow with the calls. `grows`: as much in every round. `unclear`: a longer series has to tell.
 */
export type Trend = 'steady' | 'grows' | 'unclear';

/** What a series says. */
export interface Judgement {
  readonly trend: Trend;
  /** Slope by least squares. */
  readonly bytesPerIteration: number;
  readonly objectsPerIteration: number;
  /** Half the width of the 95 % interval of `bytesPerIteration`. */
  readonly margin: number;
  /** 1 less the probability that a stack which does not leak grows like this by chance. */
  readonly confidence: number;
  /** Calls in a series that would decide; 0 when this one does. */
  readonly needed: number;
}

/** Growth of the second half against the first: within this factor it is the same. */
const EVEN = 0.6;
/** Part of the rounds in which a leak grows. */
const MOST = 0.75;
/** In how many deviations of chance a sampled stack has to grow. */
const DEVIATIONS = 4;

/** Samples that a leak needs to be found almost certainly: its growth is then above {@link DEVIATIONS}, also with bad luck. */
export const SAMPLES_NEEDED = 32;

interface Slope {
  slope: number;
  /** Half the width of its 95 % interval, from the residuals. */
  margin: number;
}

// 97.5 % quantiles of Student's t for 1 to 10 degrees of freedom; 2 is near enough beyond.
const STUDENT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

function fit(points: readonly Point[], value: (point: Point) => number): Slope {
  const n = points.length;
  const meanX = points.reduce((sum, point) => sum + point.iterations, 0) / n;
  const meanY = points.reduce((sum, point) => sum + value(point), 0) / n;
  let xx = 0;
  let xy = 0;
  for (const point of points) {
    xx += (point.iterations - meanX) ** 2;
    xy += (point.iterations - meanX) * (value(point) - meanY);
  }
  if (xx === 0) return { slope: 0, margin: 0 };
  const slope = xy / xx;
  const rest = points.reduce((sum, point) => sum + (value(point) - meanY - slope * (point.iterations - meanX)) ** 2, 0);
  const freedom = n - 2;
  const margin = freedom < 1 ? 0 : (STUDENT[freedom - 1] ?? 2) * Math.sqrt(rest / freedom / xx);
  return { slope, margin };
}

/** The probability of at least `ups` heads in `rounds` throws of a coin. */
export function chanceOf(ups: number, rounds: number): number {
  let sum = 0;
  let ways = 1;
  for (let k = 0; k <= rounds; k++) {
    if (k >= ups) sum += ways;
    ways = (ways * (rounds - k)) / (k + 1);
  }
  return sum / 2 ** rounds;
}

/** The probability that chance is at least `z` standard deviations above its mean. */
export function tailOf(z: number): number {
  if (z <= 0) return 0.5;
  // Mills' ratio as a continued fraction, from its inside out; two digits are enough for a report.
  let fraction = z;
  for (let k = 60; k >= 1; k--) fraction = z + k / fraction;
  return Math.min(0.5, Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI) / fraction);
}

/** The largest fall below an earlier height. */
function largestFall(values: readonly number[]): number {
  let top = Number.NEGATIVE_INFINITY;
  let fall = 0;
  for (const value of values) {
    top = Math.max(top, value);
    fall = Math.max(fall, top - value);
  }
  return fall;
}

/** Growth of the first and of the second half of a series. */
function halves(values: readonly number[]): [number, number] {
  const middle = values[values.length >> 1] as number;
  return [middle - (values[0] as number), (values.at(-1) as number) - middle];
}

/** Every block is counted: what a stack holds is what it holds. */
function judgeExact(points: readonly Point[]): Judgement {
  const values = points.map((point) => point.bytes);
  const rounds = values.length - 1;
  const growth = (values.at(-1) as number) - (values[0] as number);
  const ups = values.filter((value, i) => i > 0 && value > (values[i - 1] as number)).length;
  const [first, second] = halves(values);
  let trend: Trend = 'unclear';
  if (
    growth <= 0 ||
    second <= 0 ||
    // Warm-up, and containers that double: they grow ever more rarely.
    ups <= Math.max(2, rounds / 4) ||
    // Within its own ups and downs.
    growth <= 2 * largestFall(values)
  ) {
    trend = 'steady';
  } else if (ups >= MOST * rounds && second >= EVEN * first && first >= EVEN * second) {
    trend = 'grows';
  }
  const span = (points.at(-1) as Point).iterations - (points[0] as Point).iterations;
  const bytes = fit(points, (point) => point.bytes);
  return {
    trend,
    bytesPerIteration: bytes.slope,
    objectsPerIteration: fit(points, (point) => point.objects).slope,
    margin: bytes.margin,
    confidence: 1 - chanceOf(ups, rounds),
    needed: trend === 'unclear' ? 2 * span : 0,
  };
}

/** Samples come by chance: growth has to be more than what chance makes of as many samples. */
function judgeSampled(points: readonly Point[]): Judgement {
  const samples = points.map((point) => point.samples);
  const before = samples[0] as number;
  const after = samples.at(-1) as number;
  const growth = after - before;
  const deviation = Math.sqrt(Math.max(after + before, 1));
  const z = growth / deviation;
  const [first, second] = halves(samples);
  const even = first > 0 && second >= EVEN * first - deviation && Math.abs(first - second) <= 3 * deviation;
  const span = (points.at(-1) as Point).iterations - (points[0] as Point).iterations;
  let trend: Trend = 'unclear';
  if (growth < 2 || z < 1.5 || second <= 0) trend = 'steady';
  else if (z >= DEVIATIONS && even) trend = 'grows';
  const begin = points[0] as Point;
  const end = points.at(-1) as Point;
  const bytes = (end.bytes - begin.bytes) / span;
  return {
    trend,
    // What is there now less what was there before: a line through the rounds would count the first samples most.
    bytesPerIteration: bytes,
    objectsPerIteration: (end.objects - begin.objects) / span,
    margin: growth > 0 ? (1.96 * bytes * deviation) / growth : 0,
    confidence: 1 - tailOf(z),
    needed: trend === 'unclear' ? Math.ceil(span * Math.max(2, (DEVIATIONS / z) ** 2)) : 0,
  };
}

/**
 * Judges one stack.
 *
 * @param points what it held before the first and after each round, at least 5 of them
 * @param sampled whether not every allocation was counted
 */
export function judgeSeries(points: readonly Point[], sampled: boolean): Judgement {
  return sampled ? judgeSampled(points) : judgeExact(points);
}

/** Whether two series one after the other show the same leak: what fills up or fades grows more slowly in the second. */
export function sameRate(before: Judgement, after: Judgement): boolean {
  const slack = before.margin + after.margin;
  return (
    after.bytesPerIteration + slack >= 0.7 * before.bytesPerIteration &&
    before.bytesPerIteration + slack >= 0.7 * after.bytesPerIteration
  );
}
