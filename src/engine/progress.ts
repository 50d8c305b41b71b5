import type { Progress, RunControl } from './parts.ts';

/** Weight of the newest batch in the rate; about the last ten batches count. */
const SMOOTHING = 0.1;

/** Adds up committed rows of a run and turns them into what people see. */
export class ProgressMeter {
  readonly #control: RunControl;
  readonly #rowsTotal: number;
  readonly #fence: number;
  #rowsDeleted: number;
  #rowsPerSec = 0;
  #lastAt = performance.now();
  #stage = 'preflight';
  #level: string | null = null;
  #holding: string | null = null;

  /** @param start how things stand when the holder of this fence begins */
  constructor(
    control: RunControl,
    start: { readonly rowsDeleted: number; readonly rowsTotal: number; readonly fence: number },
  ) {
    this.#control = control;
    this.#rowsDeleted = start.rowsDeleted;
    this.#rowsTotal = start.rowsTotal;
    this.#fence = start.fence;
  }

  get rowsDeleted(): number {
    return this.#rowsDeleted;
  }

  enter(stage: string, level: string | null): void {
    this.#stage = stage;
    this.#level = level;
    this.#report(null);
  }

  /** Why the purge holds before its next batch, as often as that is said; null: it goes on. */
  hold(reason: string | null): void {
    if (reason === null && this.#holding === null) return;
    this.#holding = reason;
    this.#report(null);
  }

  add(table: string, rows: number): void {
    const now = performance.now();
    const rate = (rows / Math.max(now - this.#lastAt, 1)) * 1_000;
    this.#rowsPerSec =
      this.#rowsPerSec === 0 ? rate : this.#rowsPerSec + SMOOTHING * (rate - this.#rowsPerSec);
    this.#lastAt = now;
    this.#rowsDeleted += rows;
    this.#report(table);
  }

  #report(table: string | null): void {
    const total = Math.max(this.#rowsTotal, this.#rowsDeleted);
    const left = total - this.#rowsDeleted;
    this.#control.onProgress({
      progress: total === 0 ? 100 : Math.floor((this.#rowsDeleted / total) * 100),
      stage: this.#stage,
      level: this.#level,
      table,
      rowsDeleted: this.#rowsDeleted,
      rowsTotal: total,
      rowsPerSec: Math.round(this.#rowsPerSec),
      etaSec: this.#rowsPerSec === 0 ? null : Math.ceil(left / this.#rowsPerSec),
      fence: this.#fence,
      ...(this.#holding === null ? {} : { holding: this.#holding }),
    } satisfies Progress);
  }
}
