/**
 * PostgreSQL's COPY text format, by bytes: values keep what they are whatever they hold. In UTF-8 no
 * byte of a longer character looks like a tab, a newline or a backslash. Pure.
 */

export const TAB = 0x09;
export const NEWLINE = 0x0a;
export const BACKSLASH = 0x5c;

const NULL_FIELD = Buffer.from('\\N');

/** Letter after the backslash for bytes that COPY TO never writes as they are. */
const LETTER_OF_BYTE = new Map<number, number>(
  [
    ['\b', 'b'],
    ['\f', 'f'],
    ['\n', 'n'],
    ['\r', 'r'],
    ['\t', 't'],
    ['\v', 'v'],
    ['\\', '\\'],
  ].map(([byte = '', letter = '']) => [byte.charCodeAt(0), letter.charCodeAt(0)]),
);
const BYTE_OF_LETTER = new Map([...LETTER_OF_BYTE].map(([byte, letter]) => [letter, byte]));

/** Fields of a line without its newline, as they stand in it; views of the line. A line has at least one. */
export function splitFields(line: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  let start = 0;
  for (let end = line.indexOf(TAB); end !== -1; end = line.indexOf(TAB, start)) {
    fields.push(line.subarray(start, end));
    start = end + 1;
  }
  fields.push(line.subarray(start));
  return fields;
}

/** A line of fields as `splitFields` gives them, without a newline. */
export const joinFields = (fields: readonly Buffer[]): Buffer =>
  Buffer.concat(fields.flatMap((field, index) => (index === 0 ? [field] : [TAB_BYTES, field])));

const TAB_BYTES = Buffer.from([TAB]);

/** A field's value; null for `\N`. Takes every escape that COPY FROM takes. */
export function decodeField(field: Buffer): Buffer | null {
  if (field.equals(NULL_FIELD)) return null;
  let from = field.indexOf(BACKSLASH);
  if (from === -1) return field;
  const value = Buffer.allocUnsafe(field.length);
  let length = field.copy(value, 0, 0, from);
  for (; from < field.length; from += 1) {
    const byte = field[from] ?? 0;
    if (byte !== BACKSLASH || from + 1 === field.length) {
      value[length] = byte;
    } else {
      const [read, taken] = escaped(field, from + 1);
      value[length] = read;
      from += taken;
    }
    length += 1;
  }
  return value.subarray(0, length);
}

/** A value as COPY TO writes it; null as `\N`. */
export function encodeField(value: Buffer | string | null): Buffer {
  if (value === null) return NULL_FIELD;
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
  const field = Buffer.allocUnsafe(2 * bytes.length);
  return field.subarray(0, encodeInto(field, 0, bytes, 0, bytes.length));
}

/** Writes a value's bytes, escaped, into a buffer that has room for twice as many; returns the end. */
export function encodeInto(
  target: Buffer,
  at: number,
  bytes: Buffer,
  start: number,
  end: number,
): number {
  let to = at;
  for (let from = start; from < end; from += 1) {
    const byte = bytes[from] ?? 0;
    // Everything that is escaped is a backslash or below the space.
    const letter = byte < 0x20 || byte === BACKSLASH ? LETTER_OF_BYTE.get(byte) : undefined;
    if (letter !== undefined) {
      target[to] = BACKSLASH;
      to += 1;
    }
    target[to] = letter ?? byte;
    to += 1;
  }
  return to;
}

/** The byte that an escape stands for, and how many bytes behind the backslash say it. */
function escaped(field: Buffer, at: number): [byte: number, taken: number] {
  const first = field[at] ?? 0;
  const letter = BYTE_OF_LETTER.get(first);
  if (letter !== undefined) return [letter, 1];
  const octal = /^[0-7]{1,3}/.exec(field.toString('latin1', at, at + 3));
  if (octal !== null) return [Number.parseInt(octal[0], 8) & 0xff, octal[0].length];
  const hex = /^x([0-9a-fA-F]{1,2})/.exec(field.toString('latin1', at, at + 3));
  if (hex !== null) return [Number.parseInt(hex[1] ?? '', 16), hex[0].length];
  return [first, 1];
}
