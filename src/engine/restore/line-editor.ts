import { BACKSLASH, NEWLINE, TAB } from '../../domain/copy-text.ts';

export interface LineEdit {
  /** Fields of a line that go on, in this order; null: all of them, as they are; -1: not in the line. */
  readonly fields: readonly number[] | null;
  /** What stands for such a one, by its place; else NULL. */
  readonly fills?: ReadonlyMap<number, Buffer>;
  /** Lines taken: from (included) to (excluded), counted from 0. */
  readonly from: number;
  readonly to: number;
  /** Lines left out, or only they are taken where `only` is set. */
  readonly skip?: ReadonlySet<number>;
  readonly only?: ReadonlySet<number>;
  /** Places among the outgoing fields that become NULL in every line. */
  readonly nulls?: readonly number[];
  /** The same for single lines. */
  readonly nullsOf?: ReadonlyMap<number, readonly number[]>;
  /** Written before each line, with the line's number: `prefix TAB number TAB …`. */
  readonly prefix?: string;
  /** A line goes on only where one of these outgoing fields is not NULL. */
  readonly someOf?: readonly number[];
  /** Told of each line taken that is NULL in one of these incoming fields. */
  readonly watch?: {
    readonly fields: readonly number[];
    readonly onNull: (field: number, line: number) => void;
  };
}

/**
 * Changes lines of COPY text on their way, block by block. Where nothing is to be changed the blocks
 * go on as they are: a restore then costs no look at a single line.
 */
export class LineEditor {
  readonly #edit: LineEdit;
  readonly #isPlain: boolean;
  readonly #fieldsMax: number;
  #line = 0;
  #taken = 0;

  constructor(edit: LineEdit) {
    this.#edit = edit;
    this.#isPlain =
      edit.fields === null &&
      edit.prefix === undefined &&
      edit.only === undefined &&
      (edit.skip?.size ?? 0) === 0 &&
      (edit.nulls?.length ?? 0) === 0 &&
      (edit.nullsOf?.size ?? 0) === 0 &&
      edit.someOf === undefined &&
      edit.watch === undefined;
    this.#fieldsMax =
      edit.fields === null
        ? Infinity
        : Math.max(-1, ...edit.fields, ...(edit.watch?.fields ?? [])) + 1;
  }

  /** Lines that went on so far. */
  get taken(): number {
    return this.#taken;
  }

  /** True once no later line goes on. */
  get isDone(): boolean {
    return this.#line >= this.#edit.to;
  }

  /** @param block whole lines, each with its newline */
  push(block: Buffer): Buffer {
    const { from, to } = this.#edit;
    if (this.#isPlain && from === 0 && to === Infinity) return block;
    let start = 0;
    while (this.#line < from && start < block.length) {
      start = block.indexOf(NEWLINE, start) + 1;
      this.#line += 1;
    }
    return this.#isPlain ? this.#cut(block, start) : this.#rewrite(block, start);
  }

  #cut(block: Buffer, start: number): Buffer {
    let end = start;
    while (this.#line < this.#edit.to && end < block.length) {
      end = block.indexOf(NEWLINE, end) + 1;
      this.#line += 1;
      this.#taken += 1;
    }
    return block.subarray(start, end);
  }

  #rewrite(block: Buffer, start: number): Buffer {
    const { edit, out } = { edit: this.#edit, out: new Output(block.length + 4_096) };
    const starts: number[] = [];
    const ends: number[] = [];
    let at = start;
    while (this.#line < edit.to && at < block.length) {
      const line = this.#line;
      this.#line += 1;
      const isWanted = !edit.skip?.has(line) && (edit.only?.has(line) ?? true);
      if (!isWanted) {
        at = block.indexOf(NEWLINE, at) + 1;
        continue;
      }
      let fields = 0;
      let end = at;
      // By bytes: a call for each tab costs more than the few dozen bytes between them.
      while (fields < this.#fieldsMax) {
        starts[fields] = end;
        let byte = block[end];
        while (byte !== TAB && byte !== NEWLINE) {
          end += 1;
          byte = block[end];
        }
        ends[fields] = end;
        fields += 1;
        end += 1;
        if (byte === NEWLINE) break;
      }
      const isWhole = block[end - 1] === NEWLINE && end > at;
      const next = isWhole ? end : block.indexOf(NEWLINE, end) + 1;
      if (this.#write(out, block, { line, starts, ends, fields })) this.#taken += 1;
      at = next;
    }
    return out.bytes();
  }

  #write(
    out: Output,
    block: Buffer,
    line: {
      readonly line: number;
      readonly starts: readonly number[];
      readonly ends: readonly number[];
      readonly fields: number;
    },
  ): boolean {
    const { fields, fills, prefix, nulls, nullsOf, someOf, watch } = this.#edit;
    for (const field of watch?.fields ?? []) {
      const from = line.starts[field] ?? 0;
      const isNull = (line.ends[field] ?? 0) - from === 2 && block[from] === BACKSLASH;
      if (isNull && block[from + 1] === N) watch?.onNull(field, line.line);
    }
    const places = fields ?? Array.from({ length: line.fields }, (_, index) => index);
    const own = nullsOf?.get(line.line);
    const isNull = (place: number): boolean => {
      const field = places[place] ?? 0;
      if (field < 0) return fills?.get(place) === undefined;
      const from = line.starts[field] ?? 0;
      return (
        (line.ends[field] ?? 0) - from === 2 && block[from] === BACKSLASH && block[from + 1] === N
      );
    };
    if (someOf?.every(isNull) === true) return false;
    out.reserve((line.ends[line.fields - 1] ?? 0) - (line.starts[0] ?? 0) + 64 + 3 * places.length);
    if (prefix !== undefined) out.text(`${prefix}\t${line.line}${places.length > 0 ? '\t' : ''}`);
    for (let place = 0; place < places.length; place += 1) {
      if (place > 0) out.byte(TAB);
      const field = places[place] as number;
      if (nulls?.includes(place) === true || own?.includes(place) === true) out.text('\\N');
      else if (field < 0) out.text(fills?.get(place)?.toString('latin1') ?? '\\N');
      else out.copy(block, line.starts[field] ?? 0, line.ends[field] ?? 0);
    }
    out.byte(NEWLINE);
    return true;
  }
}

const N = 0x4e;
/** Up to here a loop beats a call. */
const SHORT = 48;

/** A buffer that grows. */
class Output {
  #buffer: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  /** A field may be taken twice: `copy` makes room for itself besides. */
  reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.#buffer[this.#length] = value;
    this.#length += 1;
  }

  text(text: string): void {
    this.reserve(text.length);
    this.#length += this.#buffer.write(text, this.#length, 'latin1');
  }

  copy(from: Buffer, start: number, end: number): void {
    const length = end - start;
    this.reserve(length);
    if (length > SHORT) {
      from.copy(this.#buffer, this.#length, start, end);
    } else {
      const buffer = this.#buffer;
      let to = this.#length;
      for (let at = start; at < end; at += 1) {
        buffer[to] = from[at] as number;
        to += 1;
      }
    }
    this.#length += length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Blocks that end with a newline, out of blocks that end anywhere. */
export async function* wholeLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let carried: Buffer[] = [];
  for await (const bytes of source) {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = block.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      carried.push(block);
      continue;
    }
    const whole = block.subarray(0, end);
    yield carried.length === 0 ? whole : Buffer.concat([...carried, whole]);
    carried = end < block.length ? [block.subarray(end)] : [];
  }
  if (carried.length > 0) throw new Error('COPY text ends in the middle of a line');
}

/** Lines of a block without their newlines; views of it. */
export function* linesOf(block: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = block.indexOf(NEWLINE); end !== -1; end = block.indexOf(NEWLINE, start)) {
    yield block.subarray(start, end);
    start = end + 1;
  }
}
