import { type Kysely, sql } from 'kysely';
import type { ErrorReport } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { RestoreHold } from '../../domain/restore.ts';
import type { Database } from '../database.ts';
import { appendEvent } from '../ledger/events.ts';
import { lockPurge } from '../ledger/locks.ts';
import type { LedgerTables } from '../ledger/tables.ts';
import { type DonePiece, readDonePieces } from './done-pieces.ts';
import { claimRestore, type RestoreClaim } from './restore-claim.ts';
import { findRestore, type RestoreRecord } from './restore-record.ts';
import { readSkips, type SkippedLine } from './restore-skips.ts';
import { endUndo } from './restored-purge.ts';
import { refuseBusy, refuseHeld } from './rival-refusals.ts';

/** Restores in the ledger of the database that they restore into: who holds them, how far they are. */
export class RestoreStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor({ ledger }: Database) {
    this.#ledger = ledger;
  }

  find(purgeId: PurgeId): Promise<RestoreRecord | null> {
    return findRestore(this.#ledger, purgeId);
  }

  /** @throws PurgeError RESTORE_HELD where another process restores this purge just now */
  async refuseHeld(purgeId: PurgeId, silentMsMax: number): Promise<RestoreRecord | null> {
    const found = await this.find(purgeId);
    refuseHeld(found, silentMsMax);
    return found;
  }

  /** @throws PurgeError TENANT_BUSY where another purge of the same tenant is live */
  refuseBusy(purgeId: PurgeId): Promise<void> {
    return refuseBusy(this.#ledger, purgeId);
  }

  /**
   * Takes hold under a new epoch. @returns null where somebody else came between the look and the claim
   * @throws PurgeError RESTORE_HELD, STATUS_CONFLICT, TENANT_BUSY, ARCHIVE_EXPIRED, NOT_RESTORABLE
   */
  claim(claim: RestoreClaim): Promise<RestoreHold | null> {
    return claimRestore(this.#ledger, claim);
  }

  /** A sign of life. @returns false where the hold is another's now, or a stop was asked for */
  async beat(hold: RestoreHold): Promise<boolean> {
    const { rows } = await sql<{ stop_asked: boolean }>`
      update tenant_purge.restore set heartbeat_at = clock_timestamp()
      where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held
      returning stop_asked`.execute(this.#ledger);
    return rows[0]?.stop_asked === false;
  }

  /** Asks the holder to stop after the batch in hand. Idempotent. @returns null where nothing is restored */
  async askStop(purgeId: PurgeId, operator: string): Promise<RestoreRecord | null> {
    await this.#ledger.transaction().execute(async (trx) => {
      const { rows } = await sql`
        update tenant_purge.restore set stop_asked = true
        where purge_id = ${purgeId} and ended_at is null and held and not stop_asked
        returning purge_id`.execute(trx);
      if (rows.length === 0) return;
      await appendEvent(trx, { kind: 'restore stop asked', actor: operator, purgeId, details: {} });
    });
    return this.find(purgeId);
  }

  /** Lets go of a restore that is not done, so that the next process need not wait. Fenced. */
  async release(hold: RestoreHold, error: ErrorReport | null): Promise<void> {
    await this.#ledger.transaction().execute(async (trx) => {
      const { rows } = await sql`
        update tenant_purge.restore set held = false, stop_asked = false,
          error = ${error === null ? null : JSON.stringify(error)}
        where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held
        returning purge_id`.execute(trx);
      if (rows.length === 0) return;
      await appendEvent(trx, {
        kind: 'restore stopped',
        actor: hold.holder,
        purgeId: hold.purgeId,
        fence: hold.epoch,
        details: error === null ? {} : { code: error.code },
      });
    });
  }

  /**
   * Ends the restore: everything is back (`restored`), or what is back is not what was archived
   * (`failed`). Fenced. @returns false where the hold is another's
   */
  async end(
    hold: RestoreHold,
    to: 'restored' | 'failed',
    result: {
      readonly error: ErrorReport | null;
      readonly details: object;
      readonly movesPurge: boolean;
    },
  ): Promise<boolean> {
    return this.#ledger.transaction().execute(async (trx) => {
      await lockPurge(hold.purgeId).execute(trx);
      const error = result.error === null ? null : JSON.stringify(result.error);
      const { rows } = await sql`
        update tenant_purge.restore set held = false, error = ${error},
          ended_at = case when ${to === 'restored'} then clock_timestamp() end
        where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held
        returning purge_id`.execute(trx);
      if (rows.length === 0) return false;
      if (result.movesPurge) await endUndo(trx, hold.purgeId, { status: to, error });
      await appendEvent(trx, {
        kind: to === 'restored' ? 'restored' : 'restore failed',
        actor: hold.holder,
        purgeId: hold.purgeId,
        fence: hold.epoch,
        details: result.details,
      });
      return true;
    });
  }

  /** What is committed, by piece and line. */
  done(purgeId: PurgeId): Promise<DonePiece[]> {
    return readDonePieces(this.#ledger, purgeId);
  }

  /** Lines of one chunk that are left out or changed. */
  skipsOf(purgeId: PurgeId, seq: number): Promise<SkippedLine[]> {
    return readSkips(this.#ledger, purgeId, seq);
  }

  /** Redis keys that are back so far. Fenced. */
  async noteKeys(hold: RestoreHold, keysRestored: number): Promise<void> {
    await sql`
      update tenant_purge.restore set keys_restored = ${keysRestored}
      where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held`.execute(this.#ledger);
  }
}
