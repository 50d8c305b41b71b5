/**
 * The cap on rows per second of one purge. Rows deleted are a debt that is worked off at the cap's
 * rate; a batch may start once there is none. A batch's own time counts, and so does a timer that
 * rang late, up to a quarter of a second: otherwise the rate would stay below the cap.
 */
export class Pace {
  /** Rows; negative where there is something in hand. */
  #debt = 0;
  #lastAtMs: number | null = null;

  /** How long until the next batch may start; 0: now. A cap changed meanwhile counts from now on. */
  waitMs(rowsPerSecMax: number | null, nowMs: number): number {
    this.#workOff(rowsPerSecMax, nowMs);
    if (rowsPerSecMax === null || this.#debt <= 0) return 0;
    return Math.ceil((this.#debt / rowsPerSecMax) * 1_000);
  }

  /** Rows of a batch that has committed. */
  spend(rows: number): void {
    this.#debt += rows;
  }

  /** A batch starts: what was saved up while the purge did something else is not owed to it. */
  start(rowsPerSecMax: number | null): void {
    if (rowsPerSecMax === null) return;
    this.#debt = Math.max(this.#debt, -(rowsPerSecMax * IN_HAND_MS) / 1_000);
  }

  #workOff(rowsPerSecMax: number | null, nowMs: number): void {
    const passedMs = nowMs - (this.#lastAtMs ?? nowMs);
    this.#lastAtMs = nowMs;
    if (rowsPerSecMax === null) this.#debt = 0;
    else this.#debt -= (rowsPerSecMax * passedMs) / 1_000;
  }
}

const IN_HAND_MS = 250;

/** A batch takes at most this part of a second's rows, so that the rate is even. */
const BATCH_SECONDS = 0.25;

/** Most rows of one batch under the cap; at least one. */
export const batchRowsUnder = (maxRows: number, rowsPerSecMax: number | null): number =>
  rowsPerSecMax === null
    ? maxRows
    : Math.max(1, Math.min(maxRows, Math.floor(rowsPerSecMax * BATCH_SECONDS)));
