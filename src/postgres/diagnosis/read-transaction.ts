import type pg from 'pg';
import { PurgeError } from '../../domain/errors.ts';
import { type Database, READ_ONLY, withConnection } from '../database.ts';
import { privilegeError, readFault } from '../sqlstate.ts';

interface ReadLimits {
  /** For each statement; the first page of a cursor takes as long as the whole question. */
  readonly statementTimeoutMs: number;
  /** What is being read, for the error: `rows of public.messages`. */
  readonly reading?: (() => string) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A statement timeout, or somebody's pg_cancel_backend; the timeout of the whole transaction. */
const TIMEOUTS: readonly (string | null)[] = ['57014', '25P04'];
/** In a transaction that only reads: a replica had to apply what the primary has cleaned up. */
const CONFLICT_WITH_RECOVERY = '40001';
const BY_SOMEBODY = /due to user request/;

/**
 * For questions over whole tables, which hash and sort a hundred thousand tenants; dates are UTC, and a
 * cursor is read to its end. JIT costs a second here and saves none.
 */
const settings = (statementTimeoutMs: number): string[] => [
  `set local statement_timeout = ${Math.trunc(statementTimeoutMs)}`,
  "set local timezone = 'UTC'",
  "set local work_mem = '64MB'",
  'set local cursor_tuple_fraction = 1',
  'set local jit = off',
];

/**
 * Runs `work` on one connection in one READ ONLY transaction of one snapshot: PostgreSQL itself refuses a
 * write. Once the signal is aborted the server cancels the statement in hand.
 * @throws PurgeError TIMED_OUT where a statement takes too long or is cancelled, PRIVILEGE_MISSING,
 *   STOP_ASKED after the signal; what `work` throws
 */
export async function inReadTransaction<Result>(
  database: Database,
  limits: ReadLimits,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const { signal, statementTimeoutMs } = limits;
  throwIfStopped(signal);
  return withConnection(database.pool, async (client) => {
    const over = new AbortController();
    try {
      await client.query(READ_ONLY);
      for (const setting of settings(statementTimeoutMs)) await client.query(setting);
      const { rows } = await client.query('select pg_backend_pid() as pid');
      const cancel = (): void => {
        // What it cancels reports it; a server that is gone has nothing to cancel.
        database.pool.query('select pg_cancel_backend($1)', [rows[0]?.pid]).catch(() => undefined);
      };
      signal?.addEventListener('abort', cancel, { once: true, signal: over.signal });
      throwIfStopped(signal);
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (thrown) {
      throwIfStopped(signal);
      if (thrown instanceof PurgeError) throw thrown;
      throw readError(thrown, limits);
    } finally {
      over.abort();
    }
  });
}

/** What stopped the reading, with what to do about it; anything else unchanged. */
function readError(thrown: unknown, { statementTimeoutMs, reading }: ReadLimits): unknown {
  const { sqlState, message } = readFault(thrown);
  const where = reading === undefined ? 'Reading' : `Reading ${reading()}`;
  const timedOut = (what: string, remedy: string): PurgeError =>
    new PurgeError('TIMED_OUT', `${where} ${what}. Nothing was changed.`, {
      cause: thrown,
      details: { statementTimeoutMs, reading: reading?.() ?? null },
      remedy,
    });
  if (sqlState === CONFLICT_WITH_RECOVERY) {
    return timedOut(
      `was cancelled by the replica: ${message}`,
      'Set hot_standby_feedback = on or raise max_standby_streaming_delay there, or read from the primary.',
    );
  }
  if (!TIMEOUTS.includes(sqlState)) return privilegeError(thrown);
  if (BY_SOMEBODY.test(message)) {
    return timedOut('was cancelled in PostgreSQL by somebody', 'Ask who did, then run it again.');
  }
  return timedOut(
    sqlState === '57014'
      ? `took longer than ${statementTimeoutMs} ms in one statement`
      : `was ended: ${message}`,
    'Raise diagnosis.statementTimeoutMs, name fewer tables in diagnosis.activity, or read from a replica; if it waited for a lock, see pg_stat_activity.',
  );
}

function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new PurgeError('STOP_ASKED', 'Interrupted. Nothing was changed.');
  }
}
