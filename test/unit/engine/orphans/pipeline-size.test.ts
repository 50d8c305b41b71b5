import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  nextPipelineKeys,
  PIPELINE_KEYS_MAX,
} from '../../../../src/engine/orphans/pipeline-size.ts';

const next = (keys: number, bytes: number): number =>
  nextPipelineKeys({ limit: 1_000, keys, bytes });

describe('The keys of the next pipeline', () => {
  it('double while the values are small, up to a bound', () => {
    const sizes = [100];
    for (let turn = 0; turn < 5; turn += 1) {
      const limit = sizes.at(-1) ?? 0;
      sizes.push(nextPipelineKeys({ limit, keys: limit, bytes: limit * 50 }));
    }
    expect(sizes).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it('are as many as fit into 16 MB by the last one’s values, one at least', () => {
    expect(next(1_000, 1_000 * 1_000_000)).toBe(16);
    expect(next(1_000, 1_000 * 100_000_000)).toBe(1);
    expect(next(0, 0)).toBe(1_000);
  });

  it('are never none and never beyond the bound', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: PIPELINE_KEYS_MAX }),
        fc.nat(PIPELINE_KEYS_MAX),
        fc.nat(),
        (limit, keys, bytes) => {
          const some = nextPipelineKeys({ limit, keys, bytes });
          expect(some).toBeGreaterThanOrEqual(1);
          expect(some).toBeLessThanOrEqual(PIPELINE_KEYS_MAX);
        },
      ),
    );
  });
});
