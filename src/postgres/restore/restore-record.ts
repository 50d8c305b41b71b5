import { type Kysely, sql } from 'kysely';
import type { ErrorReport } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { RestoreRules } from '../../domain/restore.ts';
import type { LedgerTables } from '../ledger/tables.ts';

/** A restore as the ledger of the database that it restores into holds it. */
export interface RestoreRecord {
  readonly purgeId: PurgeId;
  readonly epoch: number;
  readonly holder: string;
  readonly held: boolean;
  readonly operator: string;
  readonly rules: RestoreRules;
  readonly stopAsked: boolean;
  readonly rowsTotal: number;
  readonly rowsRestored: number;
  readonly rowsSkipped: number;
  readonly keysRestored: number;
  readonly error: ErrorReport | null;
  readonly startedAt: Date;
  /** Null until everything is back. */
  readonly endedAt: Date | null;
  /** Since its holder's last sign of life. */
  readonly silentMs: number;
}

/** @param ledger a transaction of the ledger, or the ledger itself. @returns null where none ever began */
export async function findRestore(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
): Promise<RestoreRecord | null> {
  const { rows } = await sql<RestoreRow>`
    select *, (extract(epoch from clock_timestamp() - heartbeat_at) * 1000)::float8 as silent_ms
    from tenant_purge.restore where purge_id = ${purgeId}`.execute(ledger);
  const [row] = rows;
  return row === undefined ? null : toRecord(row);
}

interface RestoreRow {
  readonly purge_id: string;
  readonly epoch: number;
  readonly holder: string;
  readonly held: boolean;
  readonly operator: string;
  readonly rules: RestoreRules;
  readonly stop_asked: boolean;
  readonly rows_total: number;
  readonly rows_restored: number;
  readonly rows_skipped: number;
  readonly keys_restored: number;
  readonly error: ErrorReport | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
  readonly silent_ms: number;
}

const toRecord = (row: RestoreRow): RestoreRecord => ({
  purgeId: row.purge_id as PurgeId,
  epoch: Number(row.epoch),
  holder: row.holder,
  held: row.held,
  operator: row.operator,
  rules: row.rules,
  stopAsked: row.stop_asked,
  rowsTotal: Number(row.rows_total),
  rowsRestored: Number(row.rows_restored),
  rowsSkipped: Number(row.rows_skipped),
  keysRestored: Number(row.keys_restored),
  error: row.error,
  startedAt: row.started_at,
  endedAt: row.ended_at,
  silentMs: Number(row.silent_ms),
});
