import { sql } from 'kysely';
import { describeUndo, whetherUndoable } from '../../domain/archive-state.ts';
import { type ErrorReport, PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import { type LineDigest, parseDigest } from '../../domain/line-digest.ts';
import { LIVE_STATUSES, type PurgeStatus } from '../../domain/purge.ts';
import type { RestoreHold, RestoreRules } from '../../domain/restore.ts';
import type { Database } from '../database.ts';
import { appendEvent } from '../ledger/events.ts';
import { lockPurge } from '../ledger/locks.ts';
import { readFault } from '../sqlstate.ts';

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
  readonly endedAt: Date | null;
  /** Since its holder's last sign of life. */
  readonly silentMs: number;
}

/** A piece of work that is committed. */
export interface DonePiece {
  readonly piece: string;
  readonly fromLine: number;
  readonly toLine: number;
  readonly rows: number;
  readonly digest: LineDigest | null;
  readonly xid: string;
}

/** A line that a rule leaves out, or puts back without some of its columns. */
export interface SkippedLine {
  readonly seq: number;
  readonly line: number;
  readonly conflict: string;
  readonly nullColumns: readonly string[] | null;
}

export interface RestoreClaim {
  readonly purgeId: PurgeId;
  readonly holder: string;
  readonly operator: string;
  readonly rules: RestoreRules;
  readonly rowsTotal: number;
  /** The epoch that was seen before; a claim after another's is refused. Null: there was no restore. */
  readonly seenEpoch: number | null;
  /** Of lines that are not restored yet; those of an earlier check are forgotten. */
  readonly skips: AsyncIterable<readonly SkippedLine[]> | readonly (readonly SkippedLine[])[];
  /** Lines before `line` of a chunk are settled: they are back, and so are what was left out of them. */
  readonly settled: readonly { readonly seq: number; readonly line: number }[];
  /** False where the purge lives in another database. */
  readonly movesPurge: boolean;
  readonly silentMsMax: number;
}

/** Statuses of a purge whose rows can be asked back. */
export const RESTORABLE: readonly PurgeStatus[] = [
  'completed',
  'cancelled',
  'failed',
  'incomplete',
  'refused',
];

export class RestoreStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async find(purgeId: PurgeId): Promise<RestoreRecord | null> {
    const { rows } = await sql<RestoreRow>`
      select *, (extract(epoch from clock_timestamp() - heartbeat_at) * 1000)::float8 as silent_ms
      from tenant_purge.restore where purge_id = ${purgeId}`.execute(this.#database.ledger);
    const [row] = rows;
    return row === undefined ? null : toRecord(row);
  }

  /**
   * Makes this process the holder under a new epoch, and the purge `restoring`. Waits for a batch that
   * a predecessor has in flight; from then on that one can commit nothing. Whether the purge can be
   * undone is asked again here: the lock on its row orders this and an expiry of its archive.
   * @returns null where somebody else came between the look and the claim: look again
   * @throws PurgeError RESTORE_HELD, STATUS_CONFLICT, TENANT_BUSY, ARCHIVE_EXPIRED, NOT_RESTORABLE
   */
  async claim(claim: RestoreClaim): Promise<RestoreHold | null> {
    const { purgeId, holder, operator } = claim;
    try {
      return await this.#database.ledger.transaction().execute(async (trx) => {
        await sql`select set_config('lock_timeout', '60000', true)`.execute(trx);
        await lockPurge(purgeId).execute(trx);
        const found = await new RestoreStore({ ...this.#database, ledger: trx }).find(purgeId);
        refuseHeld(found, claim.silentMsMax);
        if ((found?.epoch ?? null) !== claim.seenEpoch) return null;
        const { rows } = await sql<{ epoch: number }>`
          insert into tenant_purge.restore (purge_id, holder, operator, rules, rows_total)
          values (${purgeId}, ${holder}, ${operator}, ${JSON.stringify(claim.rules)}, ${claim.rowsTotal})
          on conflict (purge_id) do update set epoch = restore.epoch + 1, holder = excluded.holder,
            held = true, operator = excluded.operator, rules = excluded.rules, stop_asked = false,
            rows_total = excluded.rows_total, heartbeat_at = clock_timestamp(), ended_at = null,
            error = null
          returning epoch`.execute(trx);
        const epoch = Number(rows[0]?.epoch);
        await forgetSkips(trx, claim);
        for await (const some of claim.skips) {
          await sql`
            insert into tenant_purge.restore_skip (purge_id, seq, line, conflict, null_columns)
            select ${purgeId}::uuid, s.seq, s.line, s.conflict,
              case when jsonb_typeof(s.nulls) = 'array' then
                array(select jsonb_array_elements_text(s.nulls)) end
            from jsonb_to_recordset(${JSON.stringify(
              some.map(({ seq, line, conflict, nullColumns }) => ({
                seq,
                line,
                conflict,
                nulls: nullColumns,
              })),
            )}::jsonb) as s (seq bigint, line bigint, conflict text, nulls jsonb)
            on conflict do nothing`.execute(trx);
        }
        if (claim.movesPurge) await movePurge(trx, claim);
        await appendEvent(trx, {
          kind: found === null ? 'restore began' : 'restore goes on',
          actor: operator,
          purgeId,
          fence: epoch,
          details: { holder, rules: claim.rules, rowsTotal: claim.rowsTotal },
        });
        return { purgeId, epoch, holder };
      });
    } catch (error) {
      const fault = readFault(error);
      if (fault.sqlState === '55P03') {
        throw new PurgeError(
          'RESTORE_HELD',
          `Purge ${purgeId}: a batch of its last holder is still in flight.`,
          { cause: error, remedy: `Run \`tenant-purge restore ${purgeId}\` again in a minute.` },
        );
      }
      if (fault.sqlState === '23505' && fault.constraint === 'purge_live') {
        await this.refuseBusy(purgeId);
        throw new PurgeError(
          'TENANT_BUSY',
          `Purge ${purgeId}: another purge of the same tenant was live a moment ago.`,
          { cause: error, remedy: `Run \`tenant-purge restore ${purgeId}\` again.` },
        );
      }
      throw error;
    }
  }

  /** @throws PurgeError RESTORE_HELD where another process restores this purge just now */
  async refuseHeld(purgeId: PurgeId, silentMsMax: number): Promise<RestoreRecord | null> {
    const found = await this.find(purgeId);
    refuseHeld(found, silentMsMax);
    return found;
  }

  /**
   * Looks whether another purge of the same tenant would take again what comes back. The claim finds
   * one that comes later.
   * @throws PurgeError TENANT_BUSY
   */
  async refuseBusy(purgeId: PurgeId): Promise<void> {
    const { rows } = await sql<{ id: string; status: PurgeStatus }>`
      select o.id, o.status from tenant_purge.purge p
      join tenant_purge.purge o on o.tenant_table = p.tenant_table and o.tenant_id = p.tenant_id
      where p.id = ${purgeId} and o.id <> p.id and o.status = any(${[...LIVE_STATUSES]}::text[])
      limit 1`.execute(this.#database.ledger);
    const [other] = rows;
    if (other !== undefined) throw tenantBusy(purgeId, other);
  }

  /** A sign of life. @returns false where the hold is another's now, or a stop was asked for */
  async beat(hold: RestoreHold): Promise<boolean> {
    const { rows } = await sql<{ stop_asked: boolean }>`
      update tenant_purge.restore set heartbeat_at = clock_timestamp()
      where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held
      returning stop_asked`.execute(this.#database.ledger);
    return rows[0]?.stop_asked === false;
  }

  /** Asks the holder to stop after the batch in hand. Idempotent. @returns null where nothing is restored */
  async askStop(purgeId: PurgeId, operator: string): Promise<RestoreRecord | null> {
    await this.#database.ledger.transaction().execute(async (trx) => {
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
    await this.#database.ledger.transaction().execute(async (trx) => {
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
    return this.#database.ledger.transaction().execute(async (trx) => {
      await lockPurge(hold.purgeId).execute(trx);
      const error = result.error === null ? null : JSON.stringify(result.error);
      const { rows } = await sql`
        update tenant_purge.restore set held = false, error = ${error},
          ended_at = case when ${to === 'restored'} then clock_timestamp() end
        where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held
        returning purge_id`.execute(trx);
      if (rows.length === 0) return false;
      if (result.movesPurge) {
        await trx
          .updateTable('tenant_purge.purge')
          .set({ status: to, error, worker: null })
          .where('id', '=', hold.purgeId)
          .where('status', '=', 'restoring')
          .execute();
      }
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

  async done(purgeId: PurgeId): Promise<DonePiece[]> {
    const { rows } = await sql<{
      piece: string;
      from_line: number;
      to_line: number;
      rows: number;
      digest: string | null;
      xid: string;
    }>`
      select piece, from_line, to_line, rows, digest, xid::text as xid
      from tenant_purge.restore_done where purge_id = ${purgeId}
      order by piece, from_line`.execute(this.#database.ledger);
    return rows.map((row) => ({
      piece: row.piece,
      fromLine: Number(row.from_line),
      toLine: Number(row.to_line),
      rows: Number(row.rows),
      digest: row.digest === null ? null : parseDigest(row.digest, Number(row.rows)),
      xid: row.xid,
    }));
  }

  /** Lines of one chunk that are left out or changed. */
  async skipsOf(purgeId: PurgeId, seq: number): Promise<SkippedLine[]> {
    const { rows } = await sql<{
      seq: number;
      line: number;
      conflict: string;
      null_columns: string[] | null;
    }>`
      select seq, line, conflict, null_columns from tenant_purge.restore_skip
      where purge_id = ${purgeId} and seq = ${seq}`.execute(this.#database.ledger);
    return rows.map((row) => ({
      seq: Number(row.seq),
      line: Number(row.line),
      conflict: row.conflict,
      nullColumns: row.null_columns,
    }));
  }

  /** Lines left out altogether, by chunk. */
  async skippedBySeq(purgeId: PurgeId): Promise<ReadonlyMap<number, number>> {
    const { rows } = await sql<{ seq: number; lines: number }>`
      select seq, count(*) filter (where null_columns is null) as lines
      from tenant_purge.restore_skip where purge_id = ${purgeId} group by seq`.execute(
      this.#database.ledger,
    );
    return new Map(rows.map((row) => [Number(row.seq), Number(row.lines)]));
  }

  /** Redis keys that are back so far. Fenced. */
  async noteKeys(hold: RestoreHold, keysRestored: number): Promise<void> {
    await sql`
      update tenant_purge.restore set keys_restored = ${keysRestored}
      where purge_id = ${hold.purgeId} and epoch = ${hold.epoch} and held`.execute(
      this.#database.ledger,
    );
  }
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

/**
 * Forgets what an earlier look left out of lines that are not back yet: it has been looked at anew. But
 * once rows were left out of those that are back, what hung on them stays away with them: by now
 * another row may bear their key, and the new look, which sees only what is not back, would give it
 * their children and their references.
 */
async function forgetSkips(
  ledger: Database['ledger'],
  { purgeId, settled }: RestoreClaim,
): Promise<void> {
  await sql`
    with settled as materialized (
      select k.seq, k.line, k.null_columns from tenant_purge.restore_skip k
      join unnest(${settled.map(({ seq }) => seq)}::bigint[],
        ${settled.map(({ line }) => line)}::bigint[]) as s (seq, line)
        on s.seq = k.seq and k.line < s.line
      where k.purge_id = ${purgeId})
    delete from tenant_purge.restore_skip k where purge_id = ${purgeId}
      and not exists (select from settled s where s.seq = k.seq and s.line = k.line)
      and not (k.conflict in ('PARENT_GONE', 'SKIPPED_CHANGE') and k.null_columns is null
        and exists (select from settled where null_columns is null))`.execute(ledger);
}

const tenantBusy = (
  purgeId: PurgeId,
  other: { readonly id: string; readonly status: PurgeStatus },
): PurgeError =>
  new PurgeError(
    'TENANT_BUSY',
    `Purge ${purgeId}: another purge of the same tenant, ${other.id}, is ${other.status}; what comes back would go again.`,
    {
      details: { purgeId: other.id, status: other.status },
      remedy: `Wait until it has ended, or cancel it: tenant-purge cancel ${other.id}`,
    },
  );

function refuseHeld(found: RestoreRecord | null, silentMsMax: number): void {
  if (found === null || !found.held || found.endedAt !== null) return;
  if (found.silentMs > silentMsMax) return;
  throw new PurgeError(
    'RESTORE_HELD',
    `Purge ${found.purgeId} is being restored by ${found.holder} (asked for by ${found.operator}); ` +
      `its last sign of life was ${Math.round(found.silentMs / 1_000)} s ago.`,
    { details: { holder: found.holder, operator: found.operator, silentMs: found.silentMs } },
  );
}

/**
 * Moves the purge where it can be undone now. An expiry locks its row too: whoever comes second sees
 * what the first one did, as each statement here looks anew.
 */
async function movePurge(
  ledger: Database['ledger'],
  { purgeId, operator }: RestoreClaim,
): Promise<void> {
  const purge = await ledger
    .selectFrom('tenant_purge.purge')
    .select(['status', 'ended_at', 'campaign_id'])
    .where('id', '=', purgeId)
    .forUpdate()
    .executeTakeFirst();
  if (purge === undefined) {
    throw new PurgeError('STATUS_CONFLICT', `Purge ${purgeId} is not in the ledger.`);
  }
  // A statement of its own: one that had waited for the row's lock would see the archive as it was before.
  const { rows } = await sql<{ archive: boolean; begun: boolean; expired_at: Date | null }>`
    select c.archive, a.purge_id is not null as begun, a.expired_at
    from tenant_purge.campaign c left join tenant_purge.archive a on a.purge_id = ${purgeId}
    where c.id = ${purge.campaign_id}`.execute(ledger);
  const [kept] = rows;
  const answer = whetherUndoable({
    status: purge.status,
    endedAt: purge.ended_at,
    archiving: kept?.archive === true,
    archive: kept?.begun === true ? { expiredAt: kept.expired_at } : null,
  });
  switch (answer.kind) {
    case 'restoring':
      return;
    case 'undoable':
      await ledger
        .updateTable('tenant_purge.purge')
        .set({ status: 'restoring' })
        .where('id', '=', purgeId)
        .execute();
      return;
    case 'expired':
      throw new PurgeError(
        'ARCHIVE_EXPIRED',
        `Purge ${purgeId}: ${describeUndo(answer, purgeId)} Nothing was changed.`,
        { details: { expiredAt: answer.at.toISOString() } },
      );
    case 'no-archive':
    case 'nothing-archived':
      throw new PurgeError('NOT_RESTORABLE', `Purge ${purgeId}: ${describeUndo(answer, purgeId)}`);
    case 'live':
    case 'restored':
      throw new PurgeError(
        'STATUS_CONFLICT',
        `Purge ${purgeId} is ${purge.status}: ${operator} cannot restore it now. ${describeUndo(answer, purgeId)}`,
      );
    default:
      answer satisfies never;
  }
}
