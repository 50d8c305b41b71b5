import { sql } from 'kysely';
import type { CampaignId, PurgeId } from '../../domain/ids.ts';
import type { VacuumAdvice } from '../../domain/report.ts';
import type { Database } from '../database.ts';

/** One line of the ledger's append-only record. */
export interface LedgerEvent {
  readonly at: Date;
  readonly kind: string;
  readonly actor: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What the ledger says that was done; reads only. */
export class LedgerHistory {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Newest first. */
  async events(purgeId: PurgeId, limit: number): Promise<LedgerEvent[]> {
    return this.#database.ledger
      .selectFrom('tenant_purge.event')
      .select(['at', 'kind', 'actor', 'details'])
      .where('purge_id', '=', purgeId)
      .orderBy('id', 'desc')
      .limit(limit)
      .execute();
  }

  /** Rows of one purge committed in the last `windowMs`. */
  async rowsLately(purgeId: PurgeId, windowMs: number): Promise<number> {
    const { rows } = await sql<{ rows: number }>`
      select coalesce(sum(rows), 0)::bigint as rows from tenant_purge.batch
      where purge_id = ${purgeId} and kind = 'delete' and table_name <> 'redis'
        and at > clock_timestamp() - ${windowMs} * interval '1 ms'`.execute(this.#database.ledger);
    return rows[0]?.rows ?? 0;
  }

  /**
   * Tables with dead rows among those a campaign deleted from, most first. PostgreSQL's statistics
   * lag by up to ten seconds; where no VACUUM came since, at least the campaign's own rows are dead.
   */
  async vacuumAdvice(campaignId: CampaignId): Promise<VacuumAdvice[]> {
    const { rows } = await sql<{ table: string; dead: number }>`
      with deleted as (
        select b.table_name, sum(b.rows) as rows, min(b.at) as since
        from tenant_purge.batch b join tenant_purge.purge p on p.id = b.purge_id
        where p.campaign_id = ${campaignId} and b.kind = 'delete' and b.table_name <> 'redis'
        group by 1),
      leaf as (
        select d.table_name, d.rows, d.since, s.n_dead_tup,
               greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at
        from deleted d
        join pg_stat_user_tables s on s.relid = to_regclass(d.table_name)
          or s.relid in (select relid from pg_partition_tree(to_regclass(d.table_name)) where isleaf))
      select table_name as table,
             greatest(sum(n_dead_tup),
                      case when bool_or(vacuumed_at > since) then 0 else max(rows) end)::bigint as dead
      from leaf group by 1 having max(rows) > 0 order by 2 desc, 1`.execute(this.#database.ledger);
    return rows
      .filter(({ dead }) => dead > 0)
      .map(({ table, dead }) => ({ table, deadRows: dead }));
  }
}
