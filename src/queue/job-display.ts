import type { Job } from 'bullmq';
import type { Outcome } from '../domain/outcome.ts';
import type { Progress } from '../engine/parts.ts';
import type { JobData } from './contracts.ts';

/** Progress goes to Redis at most this often. */
const EVERY_MS = 1_000;

/**
 * What Bull Board shows of a running job. Fire and forget, at most one write in flight: while Redis
 * is down an awaited call would hang the purge. A display only; the ledger holds the figures.
 */
export class JobDisplay {
  readonly #job: Job<JobData>;
  readonly #lines: string[] = [];
  #latest: Progress | null = null;
  #sentAt = performance.now();
  #inFlight = false;
  /** Something came while a write was in flight. */
  #isDue = false;

  constructor(job: Job<JobData>) {
    this.#job = job;
  }

  progress(progress: Progress): void {
    this.#latest = progress;
    if (performance.now() - this.#sentAt >= EVERY_MS) this.#send();
  }

  milestone(text: string): void {
    this.#lines.push(`${new Date().toISOString()} ${text}`);
    if (performance.now() - this.#sentAt >= EVERY_MS) this.#send();
  }

  /**
   * The last figures and lines, also of a purge too short for any before. One that has lost its purge
   * leaves the figures to the holder.
   */
  close(outcome: Outcome): void {
    const fence = this.#latest === null ? '' : ` (fence ${this.#latest.fence})`;
    this.milestone(`Run ended: ${outcome.kind}${fence}`);
    if (outcome.kind === 'superseded') this.#latest = null;
    if (outcome.kind === 'completed' && this.#latest !== null) {
      this.#latest = { ...this.#latest, progress: 100, stage: 'seal', level: null, etaSec: 0 };
    }
    this.#send();
  }

  #send(): void {
    this.#isDue = this.#inFlight;
    if (this.#inFlight) return;
    const writes: Promise<unknown>[] = [];
    if (this.#latest !== null) writes.push(this.#job.updateProgress({ ...this.#latest }));
    if (this.#lines.length > 0) writes.push(this.#job.log(this.#lines.splice(0).join('\n')));
    if (writes.length === 0) return;
    this.#inFlight = true;
    this.#sentAt = performance.now();
    void Promise.allSettled(writes).then(() => {
      this.#inFlight = false;
      if (this.#isDue) this.#send();
    });
  }
}
