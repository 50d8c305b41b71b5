import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { LedgerTables } from './tables.ts';

/** A run of deletes over the keys of tenants that do not exist. */
export interface OrphanRun {
  readonly id: string;
  readonly epoch: number;
  readonly holder: string;
  readonly operator: string;
  readonly tenantTable: string;
  /** Of the database in which its latest holder worked. */
  readonly databaseIdentity: string;
  readonly redisIdentity: string;
  readonly redisEndpoint: string;
  readonly templates: readonly string[];
  readonly place: string;
  readonly location: string;
  readonly folder: string;
  readonly serverRunId: string | null;
  readonly cursor: string;
  readonly keysScanned: number;
  readonly keysDeleted: number;
  readonly keysPutBack: number;
  readonly startedAt: Date;
  /** Null while its process works, or where that was stopped or died: the next one goes on. */
  readonly endedAt: Date | null;
  /** Since its archive was thrown away. */
  readonly expiredAt: Date | null;
  readonly expiredBy: string | null;
}

interface RunRow {
  id: string;
  epoch: number;
  holder: string;
  operator: string;
  tenant_table: string;
  database_identity: string;
  redis_identity: string;
  redis_endpoint: string;
  templates: string[];
  place: string;
  location: string;
  folder: string;
  server_run_id: string | null;
  cursor: string;
  keys_scanned: number;
  keys_deleted: number;
  keys_put_back: number;
  started_at: Date;
  ended_at: Date | null;
  silent_ms: number;
  expired_at: Date | null;
  expired_by: string | null;
}

/** `silentMs`: since a process last said that it works at the run, deleting or restoring. */
export type SelectedRun = OrphanRun & { readonly silentMs: number };

/** Newest first. @param condition on `r`, the run */
export async function selectRuns(
  ledger: Kysely<LedgerTables>,
  condition: RawBuilder<unknown>,
  limit = 1,
): Promise<SelectedRun[]> {
  const { rows } = await sql<RunRow>`
    select r.*, l.location,
      case when r.heartbeat_at = '-infinity' then 1e12
        else extract(epoch from clock_timestamp() - r.heartbeat_at) * 1000 end as silent_ms
    from tenant_purge.orphan_run r join tenant_purge.archive_place l on l.id = r.place
    where ${condition} order by r.started_at desc, r.id limit ${limit}`.execute(ledger);
  return rows.map((row) => ({
    id: row.id,
    epoch: Number(row.epoch),
    holder: row.holder,
    operator: row.operator,
    tenantTable: row.tenant_table,
    databaseIdentity: row.database_identity,
    redisIdentity: row.redis_identity,
    redisEndpoint: row.redis_endpoint,
    templates: row.templates,
    place: row.place,
    location: row.location,
    folder: row.folder,
    serverRunId: row.server_run_id,
    cursor: row.cursor,
    keysScanned: Number(row.keys_scanned),
    keysDeleted: Number(row.keys_deleted),
    keysPutBack: Number(row.keys_put_back),
    startedAt: row.started_at,
    endedAt: row.ended_at,
    expiredAt: row.expired_at,
    expiredBy: row.expired_by,
    silentMs: Number(row.silent_ms),
  }));
}
