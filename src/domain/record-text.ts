import { BACKSLASH, decodeField, encodeInto, NEWLINE, TAB } from './copy-text.ts';

const OPEN = '('.charCodeAt(0);
const CLOSE = ')'.charCodeAt(0);
const COMMA = ','.charCodeAt(0);
const QUOTE = '"'.charCodeAt(0);

/**
 * The line, with its newline, that COPY TO would have written for a row. Pure.
 * @param field the row's record text as a field of COPY text, e.g. of `COPY (SELECT t FROM t) TO STDOUT`
 * @throws TypeError for what is no record; the message has nothing of the row
 */
export function recordToCopyLine(field: Buffer): Buffer {
  const record = decodeField(field);
  if (record === null) throw new TypeError('a row is never NULL as a record');
  // At worst every byte is escaped, or is the comma before a NULL.
  const line = Buffer.allocUnsafe(3 * record.length + 3);
  let length = 0;
  let isFirst = true;
  eachField(record, (bytes, start, end, isNull) => {
    if (!isFirst) {
      line[length] = TAB;
      length += 1;
    }
    if (isNull) length += line.write('\\N', length, 'latin1');
    else length = encodeInto(line, length, bytes, start, end);
    isFirst = false;
  });
  line[length] = NEWLINE;
  return line.subarray(0, length + 1);
}

/**
 * Reads the text form that PostgreSQL gives a record, `(a,"b ""c""",,"")`: nothing between commas is
 * NULL, `""` is empty. A record without columns reads as one NULL, as it does for PostgreSQL. Calls
 * back for each field with where its value stands; the buffer is the callback's only until it returns.
 */
function eachField(
  record: Buffer,
  take: (bytes: Buffer, start: number, end: number, isNull: boolean) => void,
): void {
  const last = record.length - 1;
  if (last < 1 || record[0] !== OPEN || record[last] !== CLOSE) {
    throw new TypeError('the text of a record is not in parentheses');
  }
  // A value is never longer than its text, and is built where its predecessor was.
  const value = Buffer.allocUnsafe(record.length);
  for (let at = 1; ; at += 1) {
    let length = 0;
    let isQuoted = false;
    let isNull = true;
    for (; at <= last; at += 1) {
      const byte = record[at] ?? 0;
      if (!isQuoted && (byte === COMMA || (byte === CLOSE && at === last))) break;
      isNull = false;
      if (byte === QUOTE) {
        if (!isQuoted || record[at + 1] !== QUOTE) {
          isQuoted = !isQuoted;
          continue;
        }
        at += 1;
      } else if (byte === BACKSLASH) at += 1;
      value[length] = record[at] ?? 0;
      length += 1;
    }
    if (at > last) throw new TypeError('the text of a record ends inside a value');
    take(value, 0, length, isNull);
    if (at === last) return;
  }
}
