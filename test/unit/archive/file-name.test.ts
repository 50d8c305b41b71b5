import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isSafeName,
  isSegmentName,
  keySegmentName,
  requireSafeFolder,
  rowSegmentName,
} from '../../../src/archive/file-name.ts';

describe('The name of a segment', () => {
  it.each([
    ['public.agents', '000003-public.agents-001.copy.gz'],
    ['all-tables', '000003-all-tables-001.copy.gz'],
    ['public."Odd Name"', '000003-public.%22Odd%20Name%22-001.copy.gz'],
    ['öffentlich.äpfel', '000003-%C3%B6ffentlich.%C3%A4pfel-001.copy.gz'],
    ["a'; rm -rf / #", '000003-a%27%3B%20rm%20-rf%20%2F%20%23-001.copy.gz'],
  ])('of %s is %s', (table, name) => {
    expect(rowSegmentName(3, table, 1)).toBe(name);
  });

  it('of keys has the sweep and its epoch', () => {
    expect(keySegmentName(12, 3, 1)).toBe('12-3-001.keys.gz');
    expect(isSegmentName('12-3-001.keys.gz')).toBe(true);
    expect(isSegmentName('manifest.json')).toBe(false);
  });

  it('is short, safe and another for another table, however it is called', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 200 });
    fc.assert(
      fc.property(name, name, (left, right) => {
        const [one, other] = [rowSegmentName(1, left, 1), rowSegmentName(1, right, 1)];
        expect(isSafeName(one)).toBe(true);
        expect(one.length).toBeLessThan(130);
        expect(one === other).toBe(left === right);
      }),
    );
  });
});

it('A folder outside the archive is refused', () => {
  expect(requireSafeFolder('purges/one')).toEqual(['purges', 'one']);
  expect(requireSafeFolder('')).toEqual([]);
  expect(() => requireSafeFolder('purges/../..')).toThrow('is no name for a file');
});
