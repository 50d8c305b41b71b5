import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LineEdit, LineEditor, wholeLines } from '../../../src/engine/restore/line-editor.ts';

const field = fc.oneof(
  fc.constant('\\N'),
  fc.string({ unit: 'grapheme' }).map((each) => each.replaceAll(/[\t\n\\]/g, '_')),
  fc.constant('x'.repeat(100)),
  fc.constant('a\\tb\\\\'),
);
const table = fc
  .integer({ min: 1, max: 5 })
  .chain((width) =>
    fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1 }),
  );

const textOf = (rows: readonly (readonly string[])[]): string =>
  rows.map((row) => `${row.join('\t')}\n`).join('');

async function edit(rows: readonly string[][], how: LineEdit, cut: number): Promise<string> {
  const bytes = Buffer.from(textOf(rows), 'utf8');
  const editor = new LineEditor(how);
  const out: Buffer[] = [];
  const pieces = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += cut)
      yield await Promise.resolve(bytes.subarray(at, at + cut));
  };
  for await (const block of wholeLines(pieces())) out.push(Buffer.from(editor.push(block)));
  return Buffer.concat(out).toString('utf8');
}

const WHOLE = { fields: null, from: 0, to: Infinity };

describe('An editor of COPY lines', () => {
  it('lets lines go as they are where nothing is to be changed, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 50 }), async (rows, cut) => {
        expect(await edit(rows, WHOLE, cut)).toBe(textOf(rows));
      }),
    );
  });

  it('takes the lines of a range, but for those left out, with the fields asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.nat(8),
        fc.nat(8),
        fc.array(fc.nat(10)),
        fc.array(fc.nat(4), { minLength: 1 }),
        fc.integer({ min: 1, max: 50 }),
        async (rows, from, more, skipped, asked, cut) => {
          const width = rows[0]?.length ?? 1;
          const fields = asked.map((each) => each % width);
          const skip = new Set(skipped);
          const expected = rows
            .map((row, at) => ({ row, at }))
            .filter(({ at }) => at >= from && at < from + more && !skip.has(at))
            .map(({ row, at }) => ['7', String(at), ...fields.map((each) => row[each] ?? '')]);
          const how = { fields, from, to: from + more, skip, prefix: '7' };
          expect(await edit(rows, how, cut)).toBe(textOf(expected));
        },
      ),
    );
  });

  it('empties fields, of all lines or of one, and drops lines that have none of some', async () => {
    const rows = [
      ['1', 'a', '\\N'],
      ['2', 'b', 'c'],
    ];
    expect(await edit(rows, { ...WHOLE, nulls: [1] }, 9)).toBe('1\t\\N\t\\N\n2\t\\N\tc\n');
    const nullsOf = new Map([[1, [0, 2]]]);
    expect(await edit(rows, { ...WHOLE, nullsOf }, 9)).toBe('1\ta\t\\N\n\\N\tb\t\\N\n');
    expect(await edit(rows, { ...WHOLE, fields: [0, 2], someOf: [1] }, 9)).toBe('2\tc\n');
  });
});
