import type pg from 'pg';
import { PurgeError } from '../../domain/errors.ts';
import { type Database, READ_ONLY, withConnection } from '../database.ts';
import { readFault } from '../sqlstate.ts';

export interface ReadLimits {
  /** For each statement; the first page of a cursor takes as long as the whole question. */
  readonly statementTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const STATEMENT_TIMEOUT = '57014';

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
 * @throws PurgeError TIMED_OUT where a statement takes too long, STOP_ASKED after the signal; what `work` throws
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
      if (readFault(thrown).sqlState !== STATEMENT_TIMEOUT) throw thrown;
      throw new PurgeError(
        'TIMED_OUT',
        `A statement took longer than ${statementTimeoutMs} ms. Nothing was changed.`,
        {
          cause: thrown,
          details: { statementTimeoutMs },
          remedy:
            'Raise diagnosis.statementTimeoutMs, name fewer tables in diagnosis.activity, or read from a replica.',
        },
      );
    } finally {
      over.abort();
    }
  });
}

function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new PurgeError('STOP_ASKED', 'Interrupted. Nothing was changed.');
  }
}
