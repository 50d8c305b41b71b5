/** Rows gathered before they go to zlib: a round trip to its thread for each would cost more than the row. */
const BLOCK_BYTES = 256 * 1024;
/** Blocks kept for the next batch, of all writers of this process. */
const FREE_BLOCKS_MAX = 64;

const freeBlocks: Buffer[] = [];

/** Bytes of one part. Its first and its last slice may be the same. */
export interface Slice {
  readonly part: number;
  readonly bytes: Buffer;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** The bytes are no longer needed. */
  release(): void;
}

/**
 * Copies rows, part by part, into blocks, and hands on what a part has in a full block, or at its end.
 * Called for each row: the way of a row that fits is one copy.
 */
export class RowBlocks {
  readonly #handOn: (slice: Slice) => void;
  #block: Block | null = null;
  /** The slice being filled: from `start` to `end` of the block. */
  #start = 0;
  #end = 0;
  #part = -1;
  #isFirst = true;

  constructor(handOn: (slice: Slice) => void) {
    this.#handOn = handOn;
  }

  /** Parts come in order. @throws RangeError where one comes again */
  write(part: number, bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    if (part !== this.#part) this.#begin(part);
    const end = this.#end + bytes.byteLength;
    if (this.#block === null || end > BLOCK_BYTES) this.#writeAcross(bytes);
    else {
      this.#block.bytes.set(bytes, this.#end);
      this.#end = end;
    }
  }

  /** Hands on the last slice. Idempotent. */
  end(): void {
    this.#cut(true);
    this.#block?.release();
    this.#block = null;
    this.#start = 0;
    this.#end = 0;
  }

  #begin(part: number): void {
    if (part < this.#part) throw new RangeError(`part ${part} comes after part ${this.#part}`);
    this.#cut(true);
    this.#part = part;
    this.#isFirst = true;
  }

  #writeAcross(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.byteLength; ) {
      let block = this.#block;
      if (block === null || this.#end === BLOCK_BYTES) {
        this.#cut(false);
        block?.release();
        block = new Block();
        this.#block = block;
        this.#start = 0;
        this.#end = 0;
      }
      const taken = Math.min(BLOCK_BYTES - this.#end, bytes.byteLength - from);
      block.bytes.set(bytes.subarray(from, from + taken), this.#end);
      this.#end += taken;
      from += taken;
    }
  }

  /** A full block waits for the next row: so the last slice of a part is known, and never empty. */
  #cut(isLast: boolean): void {
    const block = this.#block;
    if (block === null || this.#start === this.#end) return;
    const bytes = block.bytes.subarray(this.#start, this.#end);
    this.#start = this.#end;
    block.hold();
    this.#handOn({
      part: this.#part,
      bytes,
      isFirst: this.#isFirst,
      isLast,
      release: () => {
        block.release();
      },
    });
    this.#isFirst = false;
  }
}

/** Several slices may lie in a block; it is free when all of them are done. */
class Block {
  readonly bytes: Buffer = freeBlocks.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #users = 1;

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0 && freeBlocks.length < FREE_BLOCKS_MAX) freeBlocks.push(this.bytes);
  }
}
