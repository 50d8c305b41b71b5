import { type Kysely, sql } from 'kysely';
import { appendEvent } from './events.ts';
import { lockOrphanRuns } from './locks.ts';
import { type OrphanRun, selectRuns } from './orphan-run.ts';
import type { LedgerTables } from './tables.ts';

export interface OrphanRunRequest
  extends Pick<
    OrphanRun,
    | 'holder'
    | 'operator'
    | 'tenantTable'
    | 'databaseIdentity'
    | 'redisIdentity'
    | 'redisEndpoint'
    | 'templates'
  > {
  readonly place: { readonly id: string; readonly location: string };
  /** A holder silent for longer has lost the run. */
  readonly leaseMs: number;
}

export type OrphanClaim =
  | { readonly kind: 'begun' | 'resumed'; readonly run: OrphanRun }
  | { readonly kind: 'held'; readonly run: OrphanRun; readonly silentMs: number }
  /** Begun where another archive is. */
  | { readonly kind: 'elsewhere'; readonly run: OrphanRun };

/** Takes the open run of this Redis over where there is one that nobody works at; else begins one. */
export async function claimOrphanRun(
  ledger: Kysely<LedgerTables>,
  request: OrphanRunRequest,
): Promise<OrphanClaim> {
  return ledger.transaction().execute(async (trx): Promise<OrphanClaim> => {
    await lockOrphanRuns().execute(trx);
    const [open] = await selectRuns(
      trx,
      sql`r.redis_identity = ${request.redisIdentity} and r.ended_at is null`,
    );
    if (open === undefined) return begin(trx, request);
    if (open.silentMs < request.leaseMs) {
      return { kind: 'held', run: open, silentMs: open.silentMs };
    }
    if (open.place !== request.place.id) return { kind: 'elsewhere', run: open };
    const { holder, operator, databaseIdentity } = request;
    await sql`
      update tenant_purge.orphan_run set epoch = epoch + 1, holder = ${holder},
        database_identity = ${databaseIdentity}, heartbeat_at = clock_timestamp()
      where id = ${open.id}`.execute(trx);
    const details = { run: open.id, holder };
    await appendEvent(trx, { kind: 'orphans resumed', actor: operator, details });
    return { kind: 'resumed', run: { ...open, holder, databaseIdentity, epoch: open.epoch + 1 } };
  });
}

async function begin(
  trx: Kysely<LedgerTables>,
  { holder, operator, place, ...request }: OrphanRunRequest,
): Promise<OrphanClaim> {
  await sql`
    insert into tenant_purge.archive_place (id, location)
    values (${place.id}, ${place.location})
    on conflict (id) do update set location = excluded.location
    where archive_place.location <> excluded.location`.execute(trx);
  const { rows } = await sql<{ id: string }>`
    insert into tenant_purge.orphan_run
      (id, holder, operator, tenant_table, database_identity, redis_identity, redis_endpoint, templates,
       place, folder)
    select n.id, ${holder}, ${operator}, ${request.tenantTable}, ${request.databaseIdentity},
      ${request.redisIdentity}, ${request.redisEndpoint}, ${[...request.templates]}::text[], ${place.id},
      'orphans/' || n.id
    from (select gen_random_uuid() as id) n returning id`.execute(trx);
  const [run] = await selectRuns(trx, sql`r.id = ${rows[0]?.id}`);
  if (run === undefined) throw new Error('the ledger lost the run that it has just begun');
  const details = { run: run.id, holder };
  await appendEvent(trx, { kind: 'orphans begun', actor: operator, details });
  return { kind: 'begun', run };
}
