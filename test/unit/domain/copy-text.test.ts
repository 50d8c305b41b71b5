import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeField,
  encodeField,
  joinFields,
  splitFields,
} from '../../../src/domain/copy-text.ts';

describe('A line of COPY text', () => {
  it('gives back every value, whatever bytes it has', () => {
    const value = fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes)));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const line = joinFields(values.map(encodeField));
        expect(line.includes(0x0a)).toBe(false);
        expect(splitFields(line).map(decodeField)).toEqual(values);
      }),
    );
  });

  it('tells NULL from the text \\N and from nothing', () => {
    expect(decodeField(Buffer.from('\\N'))).toBeNull();
    expect(decodeField(Buffer.from('\\\\N'))).toEqual(Buffer.from('\\N'));
    expect(decodeField(Buffer.from(''))).toEqual(Buffer.from(''));
    expect(encodeField('\\N').toString()).toBe('\\\\N');
  });

  it.each([
    ['a\\tb\\n\\r\\b\\f\\v\\\\', 'a\tb\n\r\b\f\v\\'],
    ['\\101\\7x\\x41\\x4g', 'A\u0007xA\u0004g'],
    ['\\q\\.', 'q.'],
    ['ends with \\', 'ends with \\'],
  ])('reads %j as COPY FROM does', (field, value) => {
    expect(decodeField(Buffer.from(field))).toEqual(Buffer.from(value));
  });
});
