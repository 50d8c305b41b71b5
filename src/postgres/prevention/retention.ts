import { PurgeError } from '../../domain/errors.ts';
import type { Database } from '../database.ts';
import { privilegeError } from '../sqlstate.ts';

/** Rows of one statement: short locks, and what has gone stays gone if the next one fails. */
const BATCH_ROWS = 5_000;

const UNDEFINED_TABLE = '42P01';

interface Expired {
  readonly rowsDeleted: number;
  /** False where `isStopped` ended it before the last row. */
  readonly finished: boolean;
}

/**
 * Deletes log rows older than `olderThanMs` by the database's clock, the oldest first, each batch by
 * itself. Idempotent; two at once share the work.
 * @throws PurgeError NOT_FOUND where nothing was installed, PRIVILEGE_MISSING
 */
export async function expirePreventionLog(
  database: Database,
  olderThanMs: number,
  isStopped: () => boolean = () => false,
): Promise<Expired> {
  try {
    const { rows } = await database.pool.query(
      `SELECT (clock_timestamp() - $1 * interval '1 ms')::text AS before`,
      [olderThanMs],
    );
    let rowsDeleted = 0;
    for (;;) {
      if (isStopped()) return { rowsDeleted, finished: false };
      const { rowCount } = await database.pool.query(
        `DELETE FROM tenant_purge.test_data_prevention_logs WHERE id = ANY (ARRAY(
           SELECT id FROM tenant_purge.test_data_prevention_logs WHERE created_at < $1::timestamptz
           ORDER BY created_at LIMIT ${BATCH_ROWS} FOR UPDATE SKIP LOCKED))`,
        [rows[0]?.before],
      );
      rowsDeleted += rowCount ?? 0;
      if ((rowCount ?? 0) < BATCH_ROWS) return { rowsDeleted, finished: true };
    }
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === UNDEFINED_TABLE) {
      throw new PurgeError('NOT_FOUND', 'There is no prevention log in this database.', {
        cause: error,
        remedy: 'Make it with `tenant-purge prevention install`.',
      });
    }
    throw privilegeError(error);
  }
}
