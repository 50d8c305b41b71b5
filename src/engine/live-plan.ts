import type { Plan } from '../domain/plan.ts';

/**
 * A catalogue read within the last second serves every purge that starts now: a change of the schema
 * one moment after a fresh read would go unseen just as well. Reading it for each of 1,845 small
 * purges would cost more than the purges.
 */
const FRESH_MS = 1_000;

/** The plan that the live catalogue gives now. */
export class LivePlan {
  readonly #read: () => Promise<Plan>;
  #current: { readonly at: number; readonly plan: Promise<Plan> } | null = null;

  /** @param read reads the catalogue and makes the plan */
  constructor(read: () => Promise<Plan>) {
    this.#read = read;
  }

  /** As it is now; for who is about to refuse because of one that may be a second old. */
  afresh(): Promise<Plan> {
    this.#current = null;
    return this.current();
  }

  /** Not older than a second. Callers that ask together share one read. */
  current(): Promise<Plan> {
    const now = performance.now();
    if (this.#current !== null && now - this.#current.at < FRESH_MS) return this.#current.plan;
    const plan = this.#read();
    this.#current = { at: now, plan };
    plan.catch(() => {
      // The caller sees the error; the next one must not get it again from here.
      this.#current = null;
    });
    return plan;
  }
}
