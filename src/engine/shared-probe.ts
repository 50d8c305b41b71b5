import type { LoadReadings, Tuning } from '../domain/load.ts';
import type { ProbeAnswer } from '../postgres/load-probe.ts';
import type { EngineLog } from './parts.ts';

/** At most one question a second, whatever the number of purges in this process. */
const EVERY_MS = 1_000;
/** Older than this, and the load is not known; the knobs stand until others are read. */
const STALE_MS = 5_000;
/** The first batch waits so long for the first answer. */
const FIRST_ANSWER_MAX_MS = 2_500;
/** The probe goes on by itself for so long after the last batch was asked for. */
const WANTED_MS = 5_000;
/** A table is watched for so long after its last batch was asked for. */
const WATCHED_MS = 10_000;

const NO_TUNING: Tuning = { fleet: {}, purges: new Map() };

/** How the probe asks. */
interface ProbeSource {
  readonly ask: (tables: readonly string[]) => Promise<ProbeAnswer>;
  /** False once the process lets go of the database. */
  readonly isOpen: () => boolean;
}

/**
 * The load probe of one process, shared by its purges. While batches are asked for it looks once a
 * second, by a timer: between two batches of a purge nobody waits behind it, only in the middle of
 * one. Its failure fails nothing.
 */
export class SharedProbe {
  readonly #source: ProbeSource;
  readonly #log: EngineLog;
  readonly #watched = new Map<string, number>();
  #answer: ProbeAnswer | null = null;
  #answeredAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #wantedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #inFlight: Promise<void> | null = null;
  #failing = false;

  constructor(source: ProbeSource, log: EngineLog) {
    this.#source = source;
    this.#log = log;
  }

  /** Null where nothing is known, or not any more. */
  get load(): LoadReadings | null {
    return performance.now() - this.#answeredAt > STALE_MS ? null : (this.#answer?.load ?? null);
  }

  get tuning(): Tuning {
    return this.#answer?.tuning ?? NO_TUNING;
  }

  /** Keeps the answer fresh; waits only where nothing is known. Never throws. */
  async refresh(tables: readonly string[]): Promise<void> {
    const now = performance.now();
    this.#wantedAt = now;
    for (const table of tables) this.#watched.set(table, now);
    if (this.#timer === null) this.#tick();
    if (this.#inFlight !== null && now - this.#answeredAt > STALE_MS) {
      await atMost(this.#inFlight, FIRST_ANSWER_MAX_MS);
    }
  }

  #tick(): void {
    const now = performance.now();
    this.#timer = null;
    if (now - this.#wantedAt > WANTED_MS || !this.#source.isOpen()) return;
    const dueInMs = this.#askedAt + EVERY_MS - now;
    if (dueInMs <= 0 && this.#inFlight === null) {
      this.#askedAt = now;
      this.#inFlight = this.#probe().finally(() => {
        this.#inFlight = null;
      });
    }
    this.#timer = setTimeout(() => this.#tick(), dueInMs > 0 ? dueInMs : EVERY_MS).unref();
  }

  async #probe(): Promise<void> {
    try {
      this.#answer = await this.#source.ask(this.#tables());
      this.#answeredAt = performance.now();
      if (this.#failing) this.#log.info({}, 'the load probe answers again');
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) {
        this.#log.warn({ err: error }, 'the load probe failed; purges go on without it');
      }
      this.#failing = true;
    }
  }

  #tables(): string[] {
    const oldest = performance.now() - WATCHED_MS;
    for (const [table, at] of this.#watched) if (at < oldest) this.#watched.delete(table);
    return [...this.#watched.keys()];
  }
}

async function atMost(work: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
