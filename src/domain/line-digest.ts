/**
 * A digest of many lines whatever their order: each line's hash in two lanes of 32 bits, summed up.
 * It notices a value that was lost or changed on the way (by chance it would not, once in 2^64), and
 * serves against accidents, not against forgery: that is what the archive's sha256 chain is for.
 */
export interface LineDigest {
  readonly rows: number;
  readonly low: number;
  readonly high: number;
}

export const EMPTY_DIGEST: LineDigest = { rows: 0, low: 0, high: 0 };

export const addDigests = (left: LineDigest, right: LineDigest): LineDigest => ({
  rows: left.rows + right.rows,
  low: (left.low + right.low) >>> 0,
  high: (left.high + right.high) >>> 0,
});

export const equalDigests = (left: LineDigest, right: LineDigest): boolean =>
  left.rows === right.rows && left.low === right.low && left.high === right.high;

/** 16 hex digits; the rows are kept beside it. */
export const digestText = ({ low, high }: LineDigest): string =>
  high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');

export const parseDigest = (text: string, rows: number): LineDigest => ({
  rows,
  high: Number.parseInt(text.slice(0, 8), 16),
  low: Number.parseInt(text.slice(8), 16),
});

const NEWLINE = 0x0a;
const LOW_START = 0x811c9dc5 | 0;
const HIGH_START = 0x9747b28c | 0;

/** Sums up lines that come in blocks, which may end anywhere. */
export class LineHasher {
  #low = LOW_START;
  #high = HIGH_START;
  #lowSum = 0;
  #highSum = 0;
  #rows = 0;

  /** Two bytes lost or swapped in one lane hardly do so in the other: they multiply by other primes. */
  update(block: Uint8Array, start = 0, end = block.length): void {
    let low = this.#low;
    let high = this.#high;
    for (let at = start; at < end; at += 1) {
      const byte = block[at] as number;
      if (byte === NEWLINE) {
        this.#lowSum = (this.#lowSum + mix(low)) | 0;
        this.#highSum = (this.#highSum + mix(high)) | 0;
        this.#rows += 1;
        low = LOW_START;
        high = HIGH_START;
      } else {
        low = Math.imul(low ^ byte, 0x01000193);
        high = Math.imul(high ^ byte, 0x5bd1e995);
        high ^= high >>> 15;
      }
    }
    this.#low = low;
    this.#high = high;
  }

  digest(): LineDigest {
    return { rows: this.#rows, low: this.#lowSum >>> 0, high: this.#highSum >>> 0 };
  }
}

function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
