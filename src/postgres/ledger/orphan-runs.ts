import { type Kysely, sql } from 'kysely';
import type { Database } from '../database.ts';
import { type BusyReason, readBusyTenants } from './busy-tenants.ts';
import { appendEvent } from './events.ts';
import { lockOrphanRuns, lockPipelines } from './locks.ts';
import { addOrphanChunk, type OrphanChunk, readOrphanChunks } from './orphan-chunks.ts';
import { claimOrphanRun, type OrphanClaim, type OrphanRunRequest } from './orphan-claim.ts';
import { type OrphanRun, selectRuns } from './orphan-run.ts';
import { type HeldPipeline, holdPipeline } from './pipeline.ts';
import type { LedgerTables } from './tables.ts';

export type { OrphanChunk } from './orphan-chunks.ts';
export type { OrphanClaim, OrphanRunRequest } from './orphan-claim.ts';
export type { OrphanRun } from './orphan-run.ts';

/** One pipeline under way; a stop of the fleet waits until it is left. */
export type OrphanPipeline =
  | ({ readonly kind: 'open' } & Pick<HeldPipeline<unknown>, 'isHeld' | 'leave'>)
  | { readonly kind: 'lost' | 'stopped' };

/** A process that freezes in a pipeline loses its session after this long, and the stop goes on. */
const PIPELINE_IDLE_MAX = '30s';

/** The ledger of runs over the orphans, as the process sees it that works at one. */
export class OrphanRunStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /** Takes the open run of this Redis over where there is one that nobody works at; else begins one. */
  claim(request: OrphanRunRequest): Promise<OrphanClaim> {
    return claimOrphanRun(this.#ledger, request);
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
  chunks(id: string): Promise<OrphanChunk[]> {
    return readOrphanChunks(this.#ledger, id);
  }

  /** The keys of one pipeline are durable. False where the run has gone to another holder. */
  addChunk(run: OrphanRun, chunk: Omit<OrphanChunk, 'seq'>): Promise<boolean> {
    return addOrphanChunk(this.#ledger, run, chunk);
  }

  /**
   * Opens a pipeline under the lock that a stop of the fleet takes exclusively: what is sent before
   * `leave` is waited for. `leave` is idempotent.
   */
  async enterPipeline({ id, epoch }: OrphanRun): Promise<OrphanPipeline> {
    const { found, isHeld, leave } = await holdPipeline<OrphanPipeline['kind']>(this.#ledger, {
      idleMax: PIPELINE_IDLE_MAX,
      isOpen: (kind) => kind === 'open',
      look: async (connection) => {
        const { rows } = await sql<{ stopped: boolean }>`
          select (select stopped from tenant_purge.control) as stopped
          from tenant_purge.orphan_run
          where id = ${id} and epoch = ${epoch} and ended_at is null`.execute(connection);
        const [state] = rows;
        if (state === undefined) return 'lost';
        return state.stopped ? 'stopped' : 'open';
      },
    });
    return found === 'open' ? { kind: found, isHeld, leave } : { kind: found };
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

  /**
   * The pass is through. False where the run has gone to another holder.
   * @param left keys that changed whenever they were to be unlinked, and stayed
   */
  async finish({ id, epoch }: OrphanRun, operator: string, left = 0): Promise<boolean> {
    return this.#ledger.transaction().execute(async (trx) => {
      const { rows } = await sql<{ keys_deleted: number }>`
        update tenant_purge.orphan_run set ended_at = clock_timestamp(), heartbeat_at = '-infinity'
        where id = ${id} and epoch = ${epoch} and ended_at is null
        returning keys_deleted`.execute(trx);
      const [ended] = rows;
      if (ended === undefined) return false;
      const details = { run: id, keys: Number(ended.keys_deleted), left };
      await appendEvent(trx, { kind: 'orphans deleted', actor: operator, details });
      return true;
    });
  }

  /**
   * Ends a run whose keys are about to come back: what lies before its cursor would not be looked at
   * again. From then on it is being restored, until `endRestore` or silence: its archive does not expire.
   * Waits for pipelines under way: one of a holder that froze must not unlink what has come back.
   * False where a process deletes in it, or its archive has expired. Idempotent.
   */
  async close(id: string, leaseMs: number): Promise<boolean> {
    return this.#ledger.transaction().execute(async (trx) => {
      const mayClose = async (): Promise<boolean> => {
        const [run] = await selectRuns(trx, sql`r.id = ${id}`);
        if (run === undefined || run.expiredAt !== null) return false;
        return run.endedAt !== null || run.silentMs > leaseMs;
      };
      // The same lock as an expiry: one of the two sees what the other has done.
      await lockOrphanRuns().execute(trx);
      if (!(await mayClose())) return false;
      await lockPipelines().execute(trx);
      // A pipeline that was waited for may have shown that its holder lives.
      if (!(await mayClose())) return false;
      await sql`
        update tenant_purge.orphan_run
        set ended_at = coalesce(ended_at, clock_timestamp()), epoch = epoch + 1,
            heartbeat_at = clock_timestamp()
        where id = ${id}`.execute(trx);
      return true;
    });
  }

  /** A restore is still at it. */
  async beat(id: string): Promise<void> {
    await sql`update tenant_purge.orphan_run set heartbeat_at = clock_timestamp()
      where id = ${id}`.execute(this.#ledger);
  }

  /** Nobody restores any more. Idempotent. */
  async endRestore(id: string): Promise<void> {
    await sql`update tenant_purge.orphan_run set heartbeat_at = '-infinity'
      where id = ${id} and ended_at is not null`.execute(this.#ledger);
  }

  async note(kind: string, operator: string, details: object): Promise<void> {
    await appendEvent(this.#ledger, { kind, actor: operator, details });
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
  busy(
    tenantTable: string,
    ids: readonly string[],
    ledger: { readonly archives: boolean },
  ): Promise<Map<string, BusyReason>> {
    return readBusyTenants(this.#ledger, tenantTable, ids, ledger);
  }
}
