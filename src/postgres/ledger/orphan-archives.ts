import { sql } from 'kysely';
import type { Database } from '../database.ts';
import { appendEvent } from './events.ts';
import { lockOrphanRuns } from './locks.ts';
import { type OrphanChunk, readOrphanChunks } from './orphan-chunks.ts';
import { type SelectedRun, selectRuns } from './orphan-run.ts';

/** The archive of a run of `redis orphans --delete`, as the commands around archives see it. */
export interface OrphanArchiveRecord extends SelectedRun {
  /** Committed. */
  readonly keys: number;
  readonly bytes: number;
}

const RUNS_MAX = 1_000_000;

/** The archives of runs over the orphans. May look at a ledger from before there were any: finds none. */
export class OrphanArchives {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Oldest first; expired ones too. */
  async all(): Promise<OrphanArchiveRecord[]> {
    const { ledger, pool } = this.#database;
    const { rows: tables } = await pool.query(
      "select to_regclass('tenant_purge.orphan_chunk') is not null as present",
    );
    if (tables[0]?.present !== true) return [];
    const runs = await selectRuns(ledger, sql`true`, RUNS_MAX);
    const { rows } = await sql<{ run_id: string; keys: number; bytes: number }>`
      select run_id, sum(keys) as keys, sum(byte_length) as bytes
      from tenant_purge.orphan_chunk group by 1`.execute(ledger);
    const sums = new Map(rows.map((row) => [row.run_id, row]));
    return runs.toReversed().map((run) => ({
      ...run,
      keys: Number(sums.get(run.id)?.keys ?? 0),
      bytes: Number(sums.get(run.id)?.bytes ?? 0),
    }));
  }

  chunks(runId: string): Promise<OrphanChunk[]> {
    return readOrphanChunks(this.#database.ledger, runId);
  }

  /**
   * Notes that the archive may be thrown away, before it is: afterwards nothing restores from it. A run
   * that has not ended keeps its archive, and one that was restored from within `silenceMs`; the lock
   * orders this and a restore that begins.
   * @returns false where it is kept, or had expired before
   */
  async expire(
    runId: string,
    { operator, silenceMs }: { readonly operator: string; readonly silenceMs: number },
  ): Promise<boolean> {
    return this.#database.ledger.transaction().execute(async (trx) => {
      await lockOrphanRuns().execute(trx);
      const [run] = await selectRuns(trx, sql`r.id = ${runId}`);
      if (run === undefined || run.expiredAt !== null) return false;
      if (run.endedAt === null || run.silentMs <= silenceMs) return false;
      await sql`
        update tenant_purge.orphan_run set expired_at = clock_timestamp(), expired_by = ${operator}
        where id = ${runId}`.execute(trx);
      const details = { run: runId };
      await appendEvent(trx, { kind: 'orphans expired', actor: operator, details });
      return true;
    });
  }
}
