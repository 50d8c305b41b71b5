import type pg from 'pg';
import type { OpenBatchSink } from '../domain/archive.ts';
import type { PurgeId, TenantId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import type { Writer } from '../domain/quiesce.ts';
import type { Fence } from '../domain/records.ts';
import { type Database, READ_COMMITTED, withConnection } from './database.ts';
import { type Mark, type Marking, setMark, tenantRow, tenantTable } from './quiesce-mark.ts';
import { readWriters } from './quiesce-writers.ts';
import { archivingChange, type ChangedRow } from './rows/archive-change.ts';
import { type BatchLimits, enterBatch } from './rows/batch-bookkeeping.ts';
import { LayoutReader } from './rows/layout-reader.ts';
import { column, fromTable, literal } from './rows/row-predicate.ts';

/** What the tenant's own row says about its purge now. */
interface Standing {
  /** Its hold column is true. */
  readonly held: boolean;
  /** This purge has marked it. */
  readonly marked: boolean;
  /** It holds the mark's value; null where the operator's own SQL marks, which nobody can read back. */
  readonly bearsMark: boolean | null;
}

/** How a mark ended; null: it stands, or was there before. */
type MarkOutcome = 'put back' | 'gone' | 'stays' | 'failed' | null;

/** `set`; `was-set` by an earlier run of the purge; `absent`: there is no such tenant row any more. */
type MarkResult = 'set' | 'was-set' | 'absent';

/** Marks a tenant for the application before its rows go; the ledger's triggers put it back. */
export class QuiesceStore {
  readonly #pool: pg.Pool;
  readonly #layouts = new LayoutReader();

  constructor(database: Database) {
    this.#pool = database.pool;
  }

  /** @returns null where the tenant's row is not there (any more) */
  async standing(plan: Plan, purgeId: PurgeId, tenantId: TenantId): Promise<Standing | null> {
    const rule = plan.quiesce;
    const bears =
      rule?.kind === 'column'
        ? `(t.${column(rule.column)} = ${literal(rule.value)}) is true`
        : 'null::boolean';
    const held = plan.hold === undefined ? 'false' : `t.${column(plan.hold)} is true`;
    const { rows } = await this.#pool.query(
      `select ${held} as held, ${bears} as bears, exists (select from tenant_purge.quiesced
         where purge_id = ${literal(purgeId)}) as marked
       from ${tenantRow(plan, tenantId)}`,
    );
    const [row] = rows;
    return row === undefined ? null : { held: row.held, marked: row.marked, bearsMark: row.bears };
  }

  /**
   * Marks the tenant and writes down what it was, in one fenced transaction. Idempotent: a mark of an
   * earlier run stands as it is. A value that it bore already is not put back later.
   * @throws PurgeError QUIESCE_FAILED, with nothing changed; TP001, TP002; driver errors that pass
   */
  async mark(
    fence: Fence,
    marking: Marking,
    { limits, archive }: { readonly limits: BatchLimits; readonly archive: OpenBatchSink | null },
  ): Promise<MarkResult> {
    return withConnection(this.#pool, async (client) => {
      await client.query([READ_COMMITTED, enterBatch(fence, limits)].join(';\n'));
      const { rows } = await client.query(
        `select from tenant_purge.quiesced where purge_id = ${literal(fence.purgeId)}`,
      );
      if (rows.length > 0) {
        await client.query('COMMIT');
        return 'was-set';
      }
      // The purge before the tenant, as in the trigger that puts the mark back: no deadlock with it.
      await client.query(
        `update tenant_purge.purge set stage = 'quiesce' where id = ${literal(fence.purgeId)}`,
      );
      const mark = await this.#setMark(client, fence, marking, archive);
      if (mark !== null) {
        const undo = mark.undo === null ? 'null' : literal(mark.undo);
        const old = mark.old === null ? 'null' : literal(mark.old);
        await client.query(
          `insert into tenant_purge.quiesced (purge_id, old_value, undo)
             values (${literal(fence.purgeId)}, ${old}, ${undo});
           insert into tenant_purge.event (purge_id, kind, actor, fence)
             values (${literal(fence.purgeId)}, 'tenant marked', ${literal(fence.worker)}, ${fence.epoch})`,
        );
      }
      await client.query('COMMIT');
      return mark === null ? 'absent' : 'set';
    });
  }

  /** The row as it was, whatever the mark and triggers change in it, goes into the archive. */
  async #setMark(
    client: pg.PoolClient,
    fence: Fence,
    marking: Marking,
    open: OpenBatchSink | null,
  ): Promise<Mark | null> {
    const mark = (): Promise<Mark | null> => setMark(client, fence, marking);
    if (open === null) return mark();
    const { plan, tenantId } = marking;
    const row: ChangedRow = {
      rows: tenantRow(plan, tenantId),
      source: { table: plan.tenant.table, relation: plan.tenant.table },
      level: 'quiesce',
      step: 'quiesce',
    };
    return archivingChange(client, fence, { row, open, layouts: this.#layouts }, mark);
  }

  async outcome(purgeId: PurgeId): Promise<MarkOutcome> {
    const { rows } = await this.#pool.query(
      `select outcome from tenant_purge.quiesced where purge_id = ${literal(purgeId)}`,
    );
    return rows[0]?.outcome ?? null;
  }

  /** See `readWriters`. */
  async writers(tables: readonly string[]): Promise<Writer[]> {
    return readWriters(this.#pool, tables);
  }
}

/** Of these tenants those whose hold column is true. */
export async function heldTenants(
  client: pg.ClientBase,
  plan: Plan,
  ids: readonly TenantId[],
): Promise<Set<string>> {
  if (plan.hold === undefined || ids.length === 0) return new Set();
  const { tenant } = plan;
  const { rows } = await client.query(
    `select ${column(tenant.key)}::text as id from ${fromTable(tenantTable(plan))}
     where ${column(plan.hold)} and ${column(tenant.key)}::text = any($1)`,
    [[...ids]],
  );
  return new Set(rows.map((row) => String(row.id)));
}
