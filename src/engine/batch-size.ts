/**
 * How much the next batch takes, so that it lasts about the target. Sized by time, not by a row
 * count: a leaf table deletes ten times faster than a referenced one, and a cap of 38,000 rows gave
 * batches of 17 ms here and 341 ms there.
 */
export interface BatchSizeLimits {
  readonly targetMs: number;
  readonly min: number;
  readonly max: number;
}

/** Growth and shrinkage of one step; a checkpoint of the server must not make the next batch tiny. */
const FACTOR_MAX = 2;
const FACTOR_MIN = 0.5;
/**
 * Until the speed of the table is known, its second and third batch may grow faster: by doubling
 * alone, the first fifth of a large table's batches was too small by half.
 */
const FIRST_FACTOR_MAX = 8;
const FIRST_BATCHES = 2;

/**
 * Size of the next batch (blocks or rows, as `size`), from the size and duration of the last.
 * @param batches batches of this pass so far, the last one included
 */
export function nextBatchSize(
  size: number,
  last: { readonly durationMs: number; readonly batches: number },
  limits: BatchSizeLimits,
): number {
  const wanted = limits.targetMs / Math.max(last.durationMs, 1);
  const factorMax = last.batches <= FIRST_BATCHES ? FIRST_FACTOR_MAX : FACTOR_MAX;
  const factor = Math.min(factorMax, Math.max(FACTOR_MIN, wanted));
  return clamp(Math.round(size * factor), limits);
}

/** Half, after a statement timeout; null when it cannot get smaller. */
export function halveBatchSize(size: number, limits: BatchSizeLimits): number | null {
  return size <= limits.min ? null : clamp(Math.floor(size / 2), limits);
}

const clamp = (size: number, limits: BatchSizeLimits): number =>
  Math.min(limits.max, Math.max(limits.min, size));
