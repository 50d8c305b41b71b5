import { mulberry32 } from '../fault/random-kills.ts';

const SEED_SPREAD = 0x9e3779b1;

/** Everything that is left to chance in a round, from one seed. */
export class Draw {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = mulberry32(seed);
  }

  /** In [0, 1). */
  fraction(): number {
    return this.#next();
  }

  /** A whole number, both ends included. */
  whole(min: number, max: number): number {
    return min + Math.floor(this.#next() * (max - min + 1));
  }

  chance(likelihood: number): boolean {
    return this.#next() < likelihood;
  }

  pick<const Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.whole(0, items.length - 1)] ?? items[0];
  }

  /** A seed for something that draws by itself, at its own time. */
  seed(): number {
    return Math.floor(this.#next() * 2 ** 32);
  }
}

/** The seed of one round of a run: neighbours have nothing in common. */
export const seedOfRound = (seed: number, round: number): number =>
  Math.imul(seed + 1, SEED_SPREAD) ^ Math.imul(round + 1, 0x85ebca6b);
