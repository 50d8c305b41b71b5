import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeField, encodeField, splitFields } from '../../../src/domain/copy-text.ts';
import { recordToCopyLine } from '../../../src/domain/record-text.ts';

/** The fields of the line that the record becomes. */
const parsed = (text: string): (string | null)[] =>
  splitFields(recordToCopyLine(encodeField(text)).subarray(0, -1)).map(
    (field) => decodeField(field)?.toString('utf8') ?? null,
  );

describe('The text of a record', () => {
  it.each([
    ['(a,b)', ['a', 'b']],
    ['(a,"b ""c""",,"")', ['a', 'b "c"', null, '']],
    ['()', [null]],
    ['("")', ['']],
    ['(,)', [null, null]],
    ['("a\\\\b")', ['a\\b']],
    ['("(x,""y"")")', ['(x,"y")']],
    ['("tab\there\nand line")', ['tab\there\nand line']],
    ['(ä,"ß ")', ['ä', 'ß ']],
  ])('%j has the fields %j', (text, fields) => {
    expect(parsed(text)).toEqual(fields);
  });

  it.each(['', '(', 'a,b', '(a', '("a)', '(a,"b"")'])('is not %j', (text) => {
    expect(() => parsed(text)).toThrow(TypeError);
  });

  it('becomes the line that COPY would have written', () => {
    const field = encodeField('(1,,"","a ""b""\t\\\\",(x))');
    expect(recordToCopyLine(field).toString()).toBe('1\t\\N\t\ta "b"\\t\\\\\t(x)\n');
    expect(recordToCopyLine(Buffer.from('(,)')).toString()).toBe('\\N\t\\N\n');
    expect(recordToCopyLine(Buffer.from('("",a)')).toString()).toBe('\ta\n');
  });

  it('keeps every value, however PostgreSQL has to quote it', () => {
    const value = fc.option(
      fc.string({ unit: fc.constantFrom(...Array.from('a,"\\()\t\n\r\b\f\v ä€N.')) }),
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        expect(parsed(printRecord(values))).toEqual(values);
        const line = recordToCopyLine(encodeField(printRecord(values)));
        const plain = values.map((each) => encodeField(each).toString()).join('\t');
        expect(line.toString()).toBe(`${plain}\n`);
      }),
    );
  });
});

/** As record_out writes it. */
const printRecord = (values: readonly (string | null)[]): string =>
  `(${values
    .map((value) => {
      if (value === null) return '';
      const quotes = value === '' || /["\\(),\s]/.test(value);
      return quotes ? `"${value.replaceAll('\\', '\\\\').replaceAll('"', '""')}"` : value;
    })
    .join(',')})`;
