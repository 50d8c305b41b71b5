import { type Kysely, sql } from 'kysely';
import type { StoredChunk } from '../../domain/archive.ts';
import type { SkipReason } from '../../domain/orphans.ts';
import { LIVE_STATUSES } from '../../domain/purge.ts';
import type { Database } from '../database.ts';
import { appendEvent, type LedgerEvent } from './events.ts';
import { lockPipelinesShared } from './locks.ts';
import type { LedgerTables } from './tables.ts';

/** A run of deletes over the keys of tenants that do not exist. */
export interface OrphanRun {
  readonly id: string;
  readonly epoch: number;
  readonly holder: string;
  readonly operator: string;
  readonly tenantTable: string;
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
}

/** Keys of one pipeline, durable before they were unlinked. */
export interface OrphanChunk extends StoredChunk {
  readonly seq: number;
  readonly keys: number;
}

export interface OrphanRunRequest
  extends Pick<
    OrphanRun,
    'holder' | 'operator' | 'tenantTable' | 'redisIdentity' | 'redisEndpoint' | 'templates'
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

/** One pipeline under way; a stop of the fleet waits until it is left. */
export type OrphanPipeline =
  | { readonly kind: 'open'; leave(): Promise<void> }
  | { readonly kind: 'lost' | 'stopped' };

/** A process that freezes in a pipeline loses its session after this long, and the stop goes on. */
const PIPELINE_IDLE_MAX = '30s';

export class OrphanRunStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /** Takes the open run of this Redis over where there is one that nobody works at; else begins one. */
  async claim(request: OrphanRunRequest): Promise<OrphanClaim> {
    const { holder, operator, place, redisIdentity } = request;
    return this.#ledger.transaction().execute(async (trx): Promise<OrphanClaim> => {
      await sql`select pg_advisory_xact_lock(1953525098, 0)`.execute(trx);
      const [open] = await selectRuns(
        trx,
        sql`r.redis_identity = ${redisIdentity} and r.ended_at is null`,
      );
      if (open !== undefined) {
        if (open.silentMs < request.leaseMs) {
          return { kind: 'held', run: open, silentMs: open.silentMs };
        }
        if (open.place !== place.id) return { kind: 'elsewhere', run: open };
        await sql`
          update tenant_purge.orphan_run set epoch = epoch + 1, holder = ${holder},
            heartbeat_at = clock_timestamp() where id = ${open.id}`.execute(trx);
        await appendEvent(trx, eventOf('orphans resumed', operator, { run: open.id, holder }));
        return { kind: 'resumed', run: { ...open, holder, epoch: open.epoch + 1 } };
      }
      await sql`
        insert into tenant_purge.archive_place (id, location)
        values (${place.id}, ${place.location})
        on conflict (id) do update set location = excluded.location
        where archive_place.location <> excluded.location`.execute(trx);
      const { rows } = await sql<{ id: string }>`
        insert into tenant_purge.orphan_run
          (id, holder, operator, tenant_table, redis_identity, redis_endpoint, templates, place, folder)
        select n.id, ${holder}, ${operator}, ${request.tenantTable}, ${redisIdentity},
          ${request.redisEndpoint}, ${[...request.templates]}::text[], ${place.id}, 'orphans/' || n.id
        from (select gen_random_uuid() as id) n returning id`.execute(trx);
      const [run] = await selectRuns(trx, sql`r.id = ${rows[0]?.id}`);
      if (run === undefined) throw new Error('the ledger lost the run that it has just begun');
      await appendEvent(trx, eventOf('orphans begun', operator, { run: run.id, holder }));
      return { kind: 'begun', run };
    });
  }

  async find(id: string): Promise<OrphanRun | null> {
    const [run] = await selectRuns(this.#ledger, sql`r.id = ${id}`);
    return run ?? null;
  }

  /** Newest first. */
  async list(limit: number): Promise<OrphanRun[]> {
    return selectRuns(this.#ledger, sql`true`, limit);
  }

  /** In the order in which they were committed. */
  async chunks(id: string): Promise<OrphanChunk[]> {
    const { rows } = await sql<Record<string, string | number>>`
      select * from tenant_purge.orphan_chunk where run_id = ${id} order by seq`.execute(
      this.#ledger,
    );
    return rows.map((row) => ({
      seq: Number(row['seq']),
      segment: String(row['segment']),
      offset: Number(row['byte_offset']),
      length: Number(row['byte_length']),
      rawBytes: Number(row['raw_bytes']),
      keys: Number(row['keys']),
      sha256: String(row['sha256']),
      chain: String(row['chain']),
    }));
  }

  /** The keys of one pipeline are durable. False where the run has gone to another holder. */
  async addChunk({ id, epoch }: OrphanRun, chunk: Omit<OrphanChunk, 'seq'>): Promise<boolean> {
    const { rows } = await sql`
      with held as (
        update tenant_purge.orphan_run set heartbeat_at = clock_timestamp()
        where id = ${id} and epoch = ${epoch} and ended_at is null returning id)
      insert into tenant_purge.orphan_chunk
        (run_id, segment, byte_offset, byte_length, raw_bytes, keys, sha256, chain)
      select held.id, ${chunk.segment}, ${chunk.offset}, ${chunk.length}, ${chunk.rawBytes},
        ${chunk.keys}, ${chunk.sha256}, ${chunk.chain} from held returning run_id`.execute(
      this.#ledger,
    );
    return rows.length > 0;
  }

  /**
   * Opens a pipeline under the lock that a stop of the fleet takes exclusively: what is sent before
   * `leave` is waited for. `leave` is idempotent.
   */
  async enterPipeline({ id, epoch }: OrphanRun): Promise<OrphanPipeline> {
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    // Not a Transaction of Kysely: one whose COMMIT fails never gives its connection back.
    let held: Promise<void> = Promise.resolve();
    const kind = await new Promise<OrphanPipeline['kind']>((resolve, reject) => {
      held = this.#ledger
        .connection()
        .execute(async (connection) => {
          await sql`begin`.execute(connection);
          try {
            await sql`select set_config('idle_in_transaction_session_timeout', ${PIPELINE_IDLE_MAX}, true)`.execute(
              connection,
            );
            await lockPipelinesShared().execute(connection);
            const { rows } = await sql<{ stopped: boolean }>`
              select (select stopped from tenant_purge.control) as stopped
              from tenant_purge.orphan_run
              where id = ${id} and epoch = ${epoch} and ended_at is null`.execute(connection);
            const [found] = rows;
            const state = found === undefined ? 'lost' : found.stopped ? 'stopped' : 'open';
            resolve(state);
            if (state === 'open') await left;
          } finally {
            await sql`commit`.execute(connection);
          }
        })
        // Before it is entered the error rises there; afterwards the lost connection has left already.
        .catch(reject);
    });
    if (kind !== 'open') {
      await held;
      return { kind };
    }
    return {
      kind,
      leave: async () => {
        leave();
        await held;
      },
    };
  }

  /** Books what went, and where the pass stands. False where the run has gone to another holder. */
  async progress(
    { id, epoch }: OrphanRun,
    step: {
      readonly serverRunId: string | null;
      readonly cursor: string;
      readonly scanned: number;
      readonly deleted: number;
      readonly putBack: number;
    },
  ): Promise<boolean> {
    const { rows } = await sql`
      update tenant_purge.orphan_run
      set server_run_id = ${step.serverRunId}, cursor = ${step.cursor},
          keys_scanned = keys_scanned + ${step.scanned},
          keys_deleted = keys_deleted + ${step.deleted},
          keys_put_back = keys_put_back + ${step.putBack}, heartbeat_at = clock_timestamp()
      where id = ${id} and epoch = ${epoch} and ended_at is null returning id`.execute(
      this.#ledger,
    );
    return rows.length > 0;
  }

  /** Lets go of the run: the next one to ask takes it over at once. */
  async release({ id, epoch }: OrphanRun): Promise<void> {
    await sql`
      update tenant_purge.orphan_run set heartbeat_at = '-infinity'
      where id = ${id} and epoch = ${epoch} and ended_at is null`.execute(this.#ledger);
  }

  /** The pass is through. False where the run has gone to another holder. */
  async finish({ id, epoch }: OrphanRun, operator: string): Promise<boolean> {
    return this.#ledger.transaction().execute(async (trx) => {
      const { rows } = await sql<{ keys_deleted: number }>`
        update tenant_purge.orphan_run set ended_at = clock_timestamp()
        where id = ${id} and epoch = ${epoch} and ended_at is null
        returning keys_deleted`.execute(trx);
      const [ended] = rows;
      if (ended === undefined) return false;
      const details = { run: id, keys: Number(ended.keys_deleted) };
      await appendEvent(trx, eventOf('orphans deleted', operator, details));
      return true;
    });
  }

  /**
   * Ends a run whose keys are about to come back: what lies before its cursor would not be looked at
   * again. False where a process works at it. Idempotent.
   */
  async close(id: string, leaseMs: number): Promise<boolean> {
    const { rows } = await sql`
      update tenant_purge.orphan_run
      set ended_at = coalesce(ended_at, clock_timestamp()), epoch = epoch + 1
      where id = ${id} and (ended_at is not null
        or heartbeat_at < clock_timestamp() - ${leaseMs} * interval '1 ms') returning id`.execute(
      this.#ledger,
    );
    return rows.length > 0;
  }

  async note(kind: string, operator: string, details: object): Promise<void> {
    await appendEvent(this.#ledger, eventOf(kind, operator, details));
  }

  async isFleetStopped(): Promise<boolean> {
    const { rows } = await sql<{ stopped: boolean }>`
      select stopped from tenant_purge.control`.execute(this.#ledger);
    return rows[0]?.stopped === true;
  }

  /**
   * Of these ids those whose keys are a purge's business.
   * @param archives whether this ledger knows archives
   */
  async busy(
    tenantTable: string,
    ids: readonly string[],
    { archives }: { readonly archives: boolean },
  ): Promise<Map<string, Extract<SkipReason, 'live-purge' | 'restorable'>>> {
    const restorable = archives
      ? sql`p.status <> 'restored' and exists (select from tenant_purge.archive a
            where a.purge_id = p.id and a.expired_at is null)`
      : sql`false`;
    const { rows } = await sql<{ tenant_id: string; is_live: boolean }>`
      select p.tenant_id, bool_or(p.status = any(${[...LIVE_STATUSES]}::text[])) as is_live
      from tenant_purge.purge p
      where p.tenant_table = ${tenantTable} and p.tenant_id = any(${[...ids]}::text[])
        and (p.status = any(${[...LIVE_STATUSES]}::text[]) or ${restorable})
      group by 1`.execute(this.#ledger);
    return new Map(rows.map((row) => [row.tenant_id, row.is_live ? 'live-purge' : 'restorable']));
  }
}

const eventOf = (kind: string, actor: string, details: object): LedgerEvent => ({
  kind,
  actor,
  details,
});

interface RunRow {
  id: string;
  epoch: number;
  holder: string;
  operator: string;
  tenant_table: string;
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
}

async function selectRuns(
  ledger: Kysely<LedgerTables>,
  condition: ReturnType<typeof sql>,
  limit = 1,
): Promise<(OrphanRun & { readonly silentMs: number })[]> {
  const { rows } = await sql<RunRow>`
    select r.*, l.location, case when r.heartbeat_at = '-infinity' then 1e12
      else extract(epoch from clock_timestamp() - r.heartbeat_at) * 1000 end as silent_ms
    from tenant_purge.orphan_run r join tenant_purge.archive_place l on l.id = r.place
    where ${condition} order by r.started_at desc, r.id limit ${limit}`.execute(ledger);
  return rows.map((row) => ({
    id: row.id,
    epoch: Number(row.epoch),
    holder: row.holder,
    operator: row.operator,
    tenantTable: row.tenant_table,
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
    silentMs: Number(row.silent_ms),
  }));
}
