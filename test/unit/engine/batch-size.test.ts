import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { halveBatchSize, nextBatchSize } from '../../../src/engine/batch-size.ts';

const limits = { targetMs: 250, min: 1, max: 10_000 };
/** A batch well after the first ones. */
const later = (durationMs: number) => ({ durationMs, batches: 10 });

describe('The next batch', () => {
  it('stays as it is where the last one met its target', () => {
    expect(nextBatchSize(1_000, later(250), limits)).toBe(1_000);
  });

  it('at most doubles, and at worst halves, whatever one batch took', () => {
    expect(nextBatchSize(1_000, later(1), limits)).toBe(2_000);
    expect(nextBatchSize(1_000, later(0), limits)).toBe(2_000);
    expect(nextBatchSize(1_000, later(60_000), limits)).toBe(500);
  });

  it('grows faster at the beginning, when nothing is known of the table yet', () => {
    expect(nextBatchSize(100, { durationMs: 1, batches: 1 }, limits)).toBe(800);
    expect(nextBatchSize(100, { durationMs: 50, batches: 1 }, limits)).toBe(500);
    expect(nextBatchSize(100, { durationMs: 1, batches: 3 }, limits)).toBe(200);
  });

  it('comes to its target within a few batches, however far the first was from it', () => {
    assert(
      property(integer({ min: 1, max: 10_000 }), integer({ min: 1, max: 5_000 }), (first, fit) => {
        // A table that takes 250 ms for `fit` rows.
        let size = first;
        for (let batch = 0; batch < 20; batch += 1) {
          size = nextBatchSize(
            size,
            { durationMs: (size * 250) / fit, batches: batch + 1 },
            limits,
          );
        }
        expect(Math.abs(size - fit)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('follows the load down and up again', () => {
    // Rows that fit the target: of a quiet server, of a busy one, of a quiet one again.
    let size = 4_000;
    const settle = (fit: number): number => {
      for (let batch = 0; batch < 6; batch += 1) {
        size = nextBatchSize(size, later((size * 250) / fit), limits);
      }
      return size;
    };
    expect([settle(4_000), settle(250), settle(4_000)]).toEqual([4_000, 250, 4_000]);
  });

  it('follows a target that changes in mid-run', () => {
    const fast = { ...limits, targetMs: 100 };
    expect(nextBatchSize(1_000, later(250), fast)).toBe(500);
    expect(nextBatchSize(400, later(100), { ...limits, targetMs: 250 })).toBe(800);
  });

  it('stays within its bounds', () => {
    assert(
      property(integer({ min: 1, max: 10_000 }), integer({ min: 0, max: 100_000 }), (size, ms) => {
        const next = nextBatchSize(size, later(ms), limits);
        expect(next).toBeGreaterThanOrEqual(limits.min);
        expect(next).toBeLessThanOrEqual(limits.max);
      }),
    );
  });
});

describe('After a statement timeout the batch', () => {
  it('halves down to a single row, and then there is nothing smaller', () => {
    const sizes: number[] = [];
    for (let size: number | null = 1_000; size !== null; size = halveBatchSize(size, limits)) {
      sizes.push(size);
    }
    expect(sizes).toEqual([1_000, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
  });
});
