/** Keys dumped, archived and unlinked together: what may still go after a stop was asked for. */
export const PIPELINE_KEYS_MAX = 1_000;
/** Of the first pipeline: nobody knows yet how large the values are. */
export const PIPELINE_KEYS_FIRST = 100;
/** Their dumps stand in memory, and go through the archive before the first of them is unlinked. */
const PIPELINE_BYTES = 16_000_000;
const GROWTH = 2;

/**
 * How many keys the next pipeline takes, from what the last one held: 1,000 small ones, and of values of
 * 10 MB only one or two. Pure.
 */
export function nextPipelineKeys(last: {
  readonly limit: number;
  readonly keys: number;
  readonly bytes: number;
}): number {
  if (last.keys === 0) return last.limit;
  const fitting = Math.floor((last.keys * PIPELINE_BYTES) / Math.max(1, last.bytes));
  return Math.max(1, Math.min(PIPELINE_KEYS_MAX, last.limit * GROWTH, fitting));
}
