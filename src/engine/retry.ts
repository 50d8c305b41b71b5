import { PurgeError } from '../domain/errors.ts';
import { type DatabaseFault, readFault } from '../postgres/sqlstate.ts';

/** Tries of the same batch before the purge is given back as interrupted; about 3 s of waiting. */
const TRIES_MAX = 6;
const FIRST_WAIT_MS = 100;
const WAIT_MAX_MS = 3_000;

/** A passing fault that outlasted its tries. */
export class InterruptedRun extends Error {
  override readonly name = 'InterruptedRun';
  readonly fault: DatabaseFault;

  constructor(fault: DatabaseFault, cause: unknown) {
    super(fault.message, { cause });
    this.fault = fault;
  }
}

/** Whether a fault passes by itself; `tookMs`: how long the attempt had gone on. */
type PassingTest = (fault: DatabaseFault, tookMs: number) => boolean;

const isPassing: PassingTest = ({ faultClass }) => faultClass === 'back-off';

/**
 * Runs `attempt` again on faults that pass by themselves (deadlock, lock timeout, lost connection,
 * restart), with growing waits and jitter. Safe because a batch is one transaction: one that lost
 * its connection during COMMIT may have committed, and then finds nothing left to do.
 * @throws InterruptedRun after the last try; any other error at once
 */
export async function withBackOff<Result>(
  attempt: () => Promise<Result>,
  mayGoOn: () => Promise<void>,
  passes: PassingTest = isPassing,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    const startedAt = performance.now();
    try {
      return await attempt();
    } catch (error) {
      const fault = readFault(error);
      const tookMs = performance.now() - startedAt;
      if (error instanceof PurgeError || !passes(fault, tookMs)) throw error;
      if (tries >= TRIES_MAX) throw new InterruptedRun(fault, error);
      await wait(Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** (tries - 1)) * (0.5 + Math.random()));
      await mayGoOn();
    }
  }
}

/** `query_canceled`: by the statement timeout, or by somebody with pg_cancel_backend. */
const CANCELLED = '57014';

/**
 * For work under a statement timeout: one that was cancelled before that was cancelled by somebody,
 * which says nothing about its size. The server's message would tell the two apart in English only.
 */
export const passesUnder =
  (statementTimeoutMs: number): PassingTest =>
  (fault, tookMs) =>
    isPassing(fault, tookMs) || (fault.sqlState === CANCELLED && tookMs < statementTimeoutMs);

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * True where a row still refers to one that was to go: the server refused (23503), or its ON DELETE
 * action would have changed that row. It may be a late row of the tenant itself.
 */
export const meansReference = (error: unknown): boolean =>
  error instanceof PurgeError
    ? error.code === 'CASCADE_GUARD'
    : readFault(error).faultClass === 'reference';
