import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDigests,
  digestText,
  EMPTY_DIGEST,
  equalDigests,
  type LineDigest,
  LineHasher,
  parseDigest,
} from '../../../src/domain/line-digest.ts';

const digestOf = (...blocks: readonly Buffer[]): LineDigest => {
  const hasher = new LineHasher();
  for (const block of blocks) hasher.update(block);
  return hasher.digest();
};
const text = (lines: readonly string[]): Buffer =>
  Buffer.from(lines.map((line) => `${line}\n`).join(''), 'utf8');
const line = fc.string({ unit: 'grapheme' }).map((each) => each.replaceAll('\n', ' '));

describe('A digest of lines', () => {
  it('is the same in whatever order and blocks they come, and adds up', () => {
    fc.assert(
      fc.property(fc.array(line), fc.array(line), fc.nat(), (left, right, at) => {
        const whole = text([...left, ...right]);
        const cut = whole.length === 0 ? 0 : at % whole.length;
        const digest = digestOf(whole);
        expect(digestOf(text([...right, ...left]))).toEqual(digest);
        expect(digestOf(whole.subarray(0, cut), whole.subarray(cut))).toEqual(digest);
        expect(addDigests(digestOf(text(left)), digestOf(text(right)))).toEqual(digest);
        expect(parseDigest(digestText(digest), digest.rows)).toEqual(digest);
      }),
    );
  });

  it('is another one when a byte of a line changes', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), fc.nat(), fc.nat(254), (lines, at, by) => {
        const before = text(lines);
        const after = Buffer.from(before);
        const place = at % before.length;
        after[place] = ((before[place] ?? 0) + by + 1) % 256;
        fc.pre(before[place] !== 0x0a && after[place] !== 0x0a);
        expect(equalDigests(digestOf(before), digestOf(after))).toBe(false);
      }),
    );
  });

  it('knows nothing from a line twice, and lines with their ends swapped', () => {
    expect(digestOf()).toEqual(EMPTY_DIGEST);
    expect(equalDigests(digestOf(text(['a', 'a'])), EMPTY_DIGEST)).toBe(false);
    expect(equalDigests(digestOf(text(['ab', 'cd'])), digestOf(text(['ad', 'cb'])))).toBe(false);
  });
});
