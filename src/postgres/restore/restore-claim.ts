import { type Kysely, sql } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { RestoreHold, RestoreRules } from '../../domain/restore.ts';
import { appendEvent } from '../ledger/events.ts';
import { lockPurge } from '../ledger/locks.ts';
import type { LedgerTables } from '../ledger/tables.ts';
import { readFault } from '../sqlstate.ts';
import { findRestore } from './restore-record.ts';
import { type DoneLines, renewSkips, type SkippedLine } from './restore-skips.ts';
import { beginUndo } from './restored-purge.ts';
import { refuseBusy, refuseHeld } from './rival-refusals.ts';

export interface RestoreClaim {
  readonly purgeId: PurgeId;
  /** `host:pid`, for people. */
  readonly holder: string;
  readonly operator: string;
  readonly rules: RestoreRules;
  readonly rowsTotal: number;
  /** The epoch that was seen before; a claim after another's is refused. Null: there was no restore. */
  readonly seenEpoch: number | null;
  /** Of lines that are not restored yet; those of an earlier look are forgotten. */
  readonly skips: readonly SkippedLine[];
  readonly doneLines: readonly DoneLines[];
  /** False where the purge lives in another database. */
  readonly movesPurge: boolean;
  readonly silentMsMax: number;
}

/** A batch in flight is waited for so long. */
const LOCK_TIMEOUT_MS = 60_000;

/**
 * Makes this process the holder under a new epoch, and the purge `restoring`. Waits for a batch that
 * a predecessor has in flight; from then on that one can commit nothing. Whether the purge can be
 * undone is asked again here: the lock on its row orders this and an expiry of its archive.
 * @returns null where somebody else came between the look and the claim: look again
 * @throws PurgeError RESTORE_HELD, STATUS_CONFLICT, TENANT_BUSY, ARCHIVE_EXPIRED, NOT_RESTORABLE
 */
export async function claimRestore(
  ledger: Kysely<LedgerTables>,
  claim: RestoreClaim,
): Promise<RestoreHold | null> {
  try {
    return await ledger.transaction().execute((trx) => claimIn(trx, claim));
  } catch (error) {
    throw (await claimRefused(ledger, claim.purgeId, error)) ?? error;
  }
}

async function claimIn(
  trx: Kysely<LedgerTables>,
  claim: RestoreClaim,
): Promise<RestoreHold | null> {
  const { purgeId, holder, operator, rules, rowsTotal } = claim;
  await sql`select set_config('lock_timeout', ${String(LOCK_TIMEOUT_MS)}, true)`.execute(trx);
  await lockPurge(purgeId).execute(trx);
  const found = await findRestore(trx, purgeId);
  refuseHeld(found, claim.silentMsMax);
  if ((found?.epoch ?? null) !== claim.seenEpoch) return null;
  const { rows } = await sql<{ epoch: number }>`
    insert into tenant_purge.restore (purge_id, holder, operator, rules, rows_total)
    values (${purgeId}, ${holder}, ${operator}, ${JSON.stringify(rules)}, ${rowsTotal})
    on conflict (purge_id) do update set epoch = restore.epoch + 1, holder = excluded.holder,
      held = true, operator = excluded.operator, rules = excluded.rules, stop_asked = false,
      rows_total = excluded.rows_total, heartbeat_at = clock_timestamp(), ended_at = null,
      error = null
    returning epoch`.execute(trx);
  const epoch = Number(rows[0]?.epoch);
  await renewSkips(trx, purgeId, claim);
  if (claim.movesPurge) await beginUndo(trx, claim);
  await appendEvent(trx, {
    kind: found === null ? 'restore began' : 'restore goes on',
    actor: operator,
    purgeId,
    fence: epoch,
    details: { holder, rules, rowsTotal },
  });
  return { purgeId, epoch, holder };
}

/** What the database says of a rival, in the operator's words. @returns null where it says something else */
async function claimRefused(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  error: unknown,
): Promise<PurgeError | null> {
  const fault = readFault(error);
  if (fault.sqlState === '55P03') {
    return new PurgeError(
      'RESTORE_HELD',
      `Purge ${purgeId}: a batch of its last holder is still in flight.`,
      { cause: error, remedy: `Run \`tenant-purge restore ${purgeId}\` again in a minute.` },
    );
  }
  if (fault.sqlState === '23505' && fault.constraint === 'purge_live') {
    await refuseBusy(ledger, purgeId);
    return new PurgeError(
      'TENANT_BUSY',
      `Purge ${purgeId}: another purge of the same tenant was live a moment ago.`,
      { cause: error, remedy: `Run \`tenant-purge restore ${purgeId}\` again.` },
    );
  }
  return null;
}
