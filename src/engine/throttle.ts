import type { Knobs } from '../domain/load.ts';
import type { Fence } from '../domain/records.ts';
import type { ThrottleStore } from '../postgres/ledger/throttle.ts';
import { Pace } from './pace.ts';
import type { EngineLog, Run } from './parts.ts';
import type { ProgressMeter } from './progress.ts';
import type { SharedProbe } from './shared-probe.ts';
import { checkControl, whyNotWritten } from './stop.ts';
import { decide, type ThrottleDecision, type ThrottleLimits } from './throttle-decision.ts';

interface ThrottleParts {
  readonly limits: ThrottleLimits;
  /** As configured; what the ledger holds goes before. */
  readonly knobs: EffectiveKnobs;
  readonly probe: SharedProbe;
  readonly store: Pick<ThrottleStore, 'holds' | 'goesOn'>;
  /** For the maintenance window. */
  readonly clock: () => Date;
  readonly log: EngineLog;
}

/** Knobs as they count for one purge now. */
export interface EffectiveKnobs {
  readonly targetMs: number;
  readonly maxRows: number;
  /** Null: no cap. */
  readonly rowsPerSecMax: number | null;
}

/** While it holds a purge looks this often whether it may go on, or must stop. */
const LOOK_EVERY_MS = 200;
/** So often the ledger hears why, and is asked for a stop. */
const TELL_EVERY_MS = 500;
/** Waiting for the cap is daily business; the ledger hears of it once it takes this long. */
const PACE_TOLD_AFTER_MS = 1_000;

/** Lets a purge's next batch start, or holds it; one per process. */
export class Throttle {
  readonly #parts: ThrottleParts;
  readonly #paces = new WeakMap<Fence, Pace>();
  #tellFails = false;

  constructor(parts: ThrottleParts) {
    this.#parts = parts;
  }

  /**
   * Returns when a batch over `tables` may start. Nothing is in flight while it holds, however long;
   * progress, log and ledger have the reason.
   * @throws StopAsked, StaleFence within half a second
   */
  async admit(run: Run, meter: ProgressMeter, tables: readonly string[]): Promise<void> {
    const hold = new Hold();
    try {
      for (;;) {
        await this.#parts.probe.refresh(tables);
        const decision = this.#decide(run, tables);
        if (decision.kind === 'go') break;
        meter.hold(decision.reasons.join('; '));
        if (hold.shouldTell(decision)) await this.#tell(run, hold, decision.reasons);
        await wait(Math.min(decision.forMs ?? LOOK_EVERY_MS, LOOK_EVERY_MS));
        await checkControl(run.control);
      }
    } finally {
      meter.hold(null);
      if (hold.told) await this.#goOn(run, hold);
    }
    this.#paceOf(run).start(this.knobs(run).rowsPerSecMax);
  }

  /** The purge's own knobs, else the fleet's, else as configured. */
  knobs({ purge }: Run): EffectiveKnobs {
    const { fleet, purges } = this.#parts.probe.tuning;
    return effectiveKnobs(purges.get(purge.id) ?? {}, fleet, this.#parts.knobs);
  }

  /** Rows of a batch that has committed; for the cap. */
  spend(run: Run, rows: number): void {
    this.#paceOf(run).spend(rows);
  }

  #decide(run: Run, tables: readonly string[]): ThrottleDecision {
    const { rowsPerSecMax } = this.knobs(run);
    return decide(this.#parts.limits, {
      now: this.#parts.clock(),
      load: this.#parts.probe.load,
      tables,
      paceMs: this.#paceOf(run).waitMs(rowsPerSecMax, performance.now()),
      rowsPerSecMax,
    });
  }

  async #tell(run: Run, hold: Hold, reasons: readonly string[]): Promise<void> {
    if (!hold.told) {
      this.#parts.log.info({ purgeId: run.purge.id, reasons }, 'the purge holds');
    }
    hold.tell();
    let isHolder = true;
    try {
      isHolder = await this.#parts.store.holds(run.fence, reasons);
      this.#tellFails = false;
    } catch (error) {
      // Whether it may delete is decided by the batch itself; what people see comes late.
      this.#warnOnce(run, error);
    }
    if (!isHolder) throw await whyNotWritten(run);
  }

  async #goOn(run: Run, hold: Hold): Promise<void> {
    const { store, log } = this.#parts;
    log.info({ purgeId: run.purge.id, heldMs: hold.heldMs() }, 'the purge holds no longer');
    await store.goesOn(run.fence).catch((error: unknown) => this.#warnOnce(run, error));
  }

  #warnOnce(run: Run, error: unknown): void {
    if (!this.#tellFails) {
      this.#parts.log.warn(
        { purgeId: run.purge.id, err: error },
        'the ledger could not be told whether the purge holds',
      );
    }
    this.#tellFails = true;
  }

  #paceOf({ fence }: Run): Pace {
    let pace = this.#paces.get(fence);
    if (pace === undefined) {
      pace = new Pace();
      this.#paces.set(fence, pace);
    }
    return pace;
  }
}

/** Each knob by itself: the purge's, else the fleet's, else the configured one; a cap of 0 is none. Pure. */
export function effectiveKnobs(
  purge: Knobs,
  fleet: Knobs,
  configured: EffectiveKnobs,
): EffectiveKnobs {
  const cap = purge.maxRowsPerSec ?? fleet.maxRowsPerSec ?? configured.rowsPerSecMax;
  return {
    targetMs: purge.targetMs ?? fleet.targetMs ?? configured.targetMs,
    maxRows: purge.maxRows ?? fleet.maxRows ?? configured.maxRows,
    rowsPerSecMax: cap === 0 ? null : cap,
  };
}

/** One wait before one batch. */
class Hold {
  readonly #since = performance.now();
  #toldAt: number | null = null;

  get told(): boolean {
    return this.#toldAt !== null;
  }

  heldMs(): number {
    return Math.round(performance.now() - this.#since);
  }

  shouldTell({ onlyPace }: { readonly onlyPace: boolean }): boolean {
    const now = performance.now();
    if (this.#toldAt !== null) return now - this.#toldAt >= TELL_EVERY_MS;
    return !onlyPace || now - this.#since >= PACE_TOLD_AFTER_MS;
  }

  tell(): void {
    this.#toldAt = performance.now();
  }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
