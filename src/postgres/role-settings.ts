import type pg from 'pg';

/** What one look at a fresh connection tells. */
export interface RoleSettings {
  /** `server_version_num`, e.g. 180004. */
  readonly version: number;
  /**
   * The role or the database sets a time limit, or another isolation than READ COMMITTED, for all its
   * sessions: statements outside a transaction need one of their own.
   */
  readonly isHampered: boolean;
}

/**
 * Begins what looks at the ledger under a lock. Under another isolation, which a role may have as its
 * default, it would see what was so before it waited for the lock: an older fence, no stop.
 */
export const READ_COMMITTED = 'BEGIN ISOLATION LEVEL READ COMMITTED';

/**
 * Lifts a role's time limits in the transaction that it is part of: a look over a large table takes as
 * long as it takes, and `AnswerWatch` tells it from a dead connection. `transaction_timeout` came with
 * PostgreSQL 17.
 */
export const NO_TIME_LIMIT = `SELECT set_config('statement_timeout', '0', true),
  CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL
       THEN set_config('transaction_timeout', '0', true) END`;

export async function readRoleSettings(pool: pg.Pool): Promise<RoleSettings> {
  const { rows } = await pool.query(
    `SELECT current_setting('server_version_num')::int AS version,
            current_setting('statement_timeout') <> '0'
              OR coalesce(current_setting('transaction_timeout', true), '0') <> '0'
              OR current_setting('default_transaction_isolation') <> 'read committed' AS hampered`,
  );
  return { version: Number(rows[0]?.version), isHampered: rows[0]?.hampered === true };
}
