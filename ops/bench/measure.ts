/** Runs of each side; the median counts. */
const RUNS = 3;

/** The two ways a benchmark compares. */
interface Sides<Plain, Ours> {
  readonly plain: (run: number) => Promise<Plain>;
  readonly ours: (run: number) => Promise<Ours>;
}

/**
 * Runs both sides `RUNS` times, one after the other, each in turn the first of its pair, so that a
 * machine that grows slower or warmer favours neither.
 */
export async function alternate<Plain, Ours>(
  sides: Sides<Plain, Ours>,
): Promise<{ readonly plain: Plain[]; readonly ours: Ours[] }> {
  const plain: Plain[] = [];
  const ours: Ours[] = [];
  for (let run = 1; run <= RUNS; run += 1) {
    if (run % 2 === 1) plain.push(await sides.plain(run));
    ours.push(await sides.ours(run));
    if (run % 2 === 0) plain.push(await sides.plain(run));
  }
  return { plain, ours };
}

/** What every benchmark reports; `ours` and `plain` are medians in seconds. */
export interface Comparison {
  /** Our speed over the plain way's: above 1 we are the faster one. */
  readonly ratio: number;
  readonly wanted: number;
  readonly met: boolean;
  readonly ours: number;
  readonly plain: number;
  readonly oursRuns: readonly number[];
  readonly plainRuns: readonly number[];
}

export function compare(
  seconds: { readonly ours: readonly number[]; readonly plain: readonly number[] },
  wanted: number,
): Comparison {
  const ours = median(seconds.ours);
  const plain = median(seconds.plain);
  const ratio = round(plain / ours, 3);
  return {
    ratio,
    wanted,
    met: ratio >= wanted,
    ours: round(ours, 3),
    plain: round(plain, 3),
    oursRuns: seconds.ours.map((value) => round(value, 3)),
    plainRuns: seconds.plain.map((value) => round(value, 3)),
  };
}

/** @throws RangeError where there are no values: nothing was measured */
export function median(values: readonly number[]): number {
  const sorted = sortedOf(values);
  const middle = sorted.length / 2;
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** Nearest rank: with fewer than 100 values p99 is their maximum. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = sortedOf(values);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Seconds that the work took, with its result. */
export async function timed<Result>(
  work: () => Promise<Result>,
): Promise<{ readonly seconds: number; readonly result: Result }> {
  const startedAt = performance.now();
  const result = await work();
  return { seconds: (performance.now() - startedAt) / 1_000, result };
}

export const round = (value: number, digits: number): number => Number(value.toFixed(digits));

function sortedOf(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('There is nothing to take a median of.');
  return values.toSorted((left, right) => left - right);
}
