import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchRowsUnder, Pace } from '../../../src/engine/pace.ts';

/** Rows per second of a purge whose batches take `batchMs`, with a timer that rings `lateMs` late. */
function rateOf(cap: number, batchMs: number, lateMs: number): number {
  const pace = new Pace();
  const rows = batchRowsUnder(1_000_000, cap);
  let now = 0;
  let done = 0;
  while (now < 60_000) {
    const waitMs = pace.waitMs(cap, now);
    if (waitMs > 0) {
      now += waitMs + lateMs;
      continue;
    }
    pace.start(cap);
    now += batchMs;
    pace.spend(rows);
    done += rows;
  }
  return (done * 1_000) / now;
}

describe('A cap on rows per second', () => {
  it('is kept within a tenth, whatever a batch and a timer take', () => {
    assert(
      property(
        integer({ min: 20, max: 200_000 }),
        integer({ min: 0, max: 150 }),
        integer({ min: 0, max: 60 }),
        (cap, batchMs, lateMs) => {
          expect(Math.abs(rateOf(cap, batchMs, lateMs) / cap - 1)).toBeLessThan(0.1);
        },
      ),
    );
  });

  it('is never exceeded for long after a rest', () => {
    const pace = new Pace();
    pace.waitMs(1_000, 0);
    expect(pace.waitMs(1_000, 3_600_000)).toBe(0);
    pace.start(1_000);
    pace.spend(1_250);
    // A quarter of a second was in hand.
    expect(pace.waitMs(1_000, 3_600_000)).toBe(1_000);
  });

  it('counts from now on where it changes: an old debt is worked off at the new rate, or forgotten', () => {
    const pace = new Pace();
    pace.waitMs(10, 0);
    pace.spend(1_000);
    expect(pace.waitMs(10, 0)).toBe(100_000);
    expect(pace.waitMs(1_000, 0)).toBe(1_000);
    expect(pace.waitMs(null, 0)).toBe(0);
    expect(pace.waitMs(10, 0)).toBe(0);
  });

  it('makes batches small, so that the rate is even, but never empty', () => {
    expect(batchRowsUnder(200_000, 5_000)).toBe(1_250);
    expect(batchRowsUnder(100, 5_000)).toBe(100);
    expect(batchRowsUnder(100, 1)).toBe(1);
    expect(batchRowsUnder(100, null)).toBe(100);
  });
});
