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

/** Size of the next batch (blocks or rows, as `size`), from the size and duration of the last. */
export function nextBatchSize(size: number, durationMs: number, limits: BatchSizeLimits): number {
  const wanted = limits.targetMs / Math.max(durationMs, 1);
  const factor = Math.min(FACTOR_MAX, Math.max(FACTOR_MIN, wanted));
  return clamp(Math.round(size * factor), limits);
}

/** Half, after a statement timeout; null when it cannot get smaller. */
export function halveBatchSize(size: number, limits: BatchSizeLimits): number | null {
  return size <= limits.min ? null : clamp(Math.floor(size / 2), limits);
}

const clamp = (size: number, limits: BatchSizeLimits): number =>
  Math.min(limits.max, Math.max(limits.min, size));
