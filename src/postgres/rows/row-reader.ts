import type pg from 'pg';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { asTableName, type PurgeId, type TableName, type TenantId } from '../../domain/ids.ts';
import {
  type ClearStep,
  type DeleteStep,
  deleteSteps,
  type Plan,
  type TenantPath,
  type TenantTable,
  type Way,
} from '../../domain/plan.ts';
import type { Residue } from '../../domain/report.ts';
import type { DataFinding } from '../../planner/hazards/data-hazards.ts';
import { type Database, inTransaction, READ_ONLY } from '../database.ts';
import { listTenants, type Tenant } from '../tenant-directory.ts';
import { readReferences } from './reference-reader.ts';
import { countOwned, countPerTenant } from './row-counts.ts';
import {
  arrayLiteral,
  column,
  fromTable,
  literal,
  type StepOwner,
  stepAlternatives,
  stepRows,
} from './row-predicate.ts';

/** A table that holds rows itself: an ordinary table, or one partition. */
export interface Leaf {
  readonly name: TableName;
  readonly filenode: number;
  readonly blocks: number;
  /** `reltuples`; -1 when never analysed. */
  readonly estimatedRows: number;
  /** True where valid, whole indexes lead with the columns by which the rows are found. */
  readonly hasTenantIndex: boolean;
}

type Queryable = pg.Pool | pg.ClientBase;

const ASSUMED_ROW_BYTES = 250;

/** Everything the program asks of tenants' tables without changing them. */
export class RowReader {
  readonly #pool: pg.Pool;

  constructor(database: Database) {
    this.#pool = database.pool;
  }

  /**
   * Leaves of a table by name, byte by byte: every pass visits them in the same order, whatever the
   * database's collation, and the program can tell which ones a checkpoint has behind it.
   */
  async leaves(step: DeleteStep | ClearStep): Promise<Leaf[]> {
    const leading = pathsOf(step).map(
      (path) => `exists (select from pg_index i
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where i.indrelid = c.oid and i.indisvalid and i.indpred is null
          and a.attname = any(${arrayLiteral(ownColumns(path.ways[0]))}::name[]))`,
    );
    const { rows } = await this.#pool.query(
      `select format('%I.%I', n.nspname, c.relname) as name,
              pg_relation_filenode(c.oid)::bigint as filenode,
              pg_relation_size(c.oid) / current_setting('block_size')::bigint as blocks,
              c.reltuples::float8 as estimated_rows,
              ${leading.join(' and ')} as has_tenant_index
       from (select $1::regclass::oid as relid
             where not exists (select from pg_partitioned_table where partrelid = $1::regclass)
             union all
             select relid from pg_partition_tree($1::regclass)
             where isleaf and exists (select from pg_partitioned_table where partrelid = $1::regclass)) l
       join pg_class c on c.oid = l.relid join pg_namespace n on n.oid = c.relnamespace
       order by format('%I.%I', n.nspname, c.relname) collate "C"`,
      [step.table],
    );
    return rows.map((row) => ({
      name: asTableName(row.name),
      filenode: Number(row.filenode),
      blocks: Number(row.blocks),
      estimatedRows: Number(row.estimated_rows),
      hasTenantIndex: row.has_tenant_index,
    }));
  }

  /**
   * Bytes that so many rows of each table take, by the tables' averages, TOAST included; leaves of a
   * partitioned table together. A table that was never analysed counts with an assumed row.
   */
  async bytesOf(rowsPerTable: Readonly<Record<string, number>>): Promise<number> {
    const tables = Object.keys(rowsPerTable);
    const counts = tables.map((table) => Math.max(0, rowsPerTable[table] ?? 0));
    const { rows } = await this.#pool.query(
      `select coalesce(sum(asked.rows * case when size.rows > 0 then size.bytes / size.rows
                                             else ${ASSUMED_ROW_BYTES} end), 0)::float8 as bytes
       from unnest($1::text[], $2::float8[]) as asked (name, rows)
       cross join lateral (
         select sum(pg_table_size(c.oid))::float8 as bytes,
                sum(greatest(c.reltuples, 0))::float8 as rows
         from (select to_regclass(asked.name)::oid as oid
               union select relid from pg_partition_tree(to_regclass(asked.name)) where isleaf) r
         join pg_class c using (oid)) size`,
      [tables, counts],
    );
    return Number(rows[0]?.bytes ?? 0);
  }

  /** True while the step still has work: a fresh look over the whole table, leaves included. */
  async hasRows(step: DeleteStep | ClearStep, who: StepOwner): Promise<boolean> {
    const looks = stepAlternatives(step, 't', who).map(
      (condition) => `exists (select from ${fromTable(step)} t where ${condition})`,
    );
    const { rows } = await this.#pool.query(`select ${looks.join(' or ')} as found`);
    return rows[0]?.found === true;
  }

  /** Addresses of the step's rows in one leaf from a block on, in heap order; at most `limit`. */
  async tids(
    step: DeleteStep | ClearStep,
    leaf: string,
    who: StepOwner,
    page: { readonly fromBlock: number; readonly limit: number },
  ): Promise<string[]> {
    // OFFSET 0 keeps the look-up on the tenant's index: with the range inside, a TID range scan of
    // the rest of the table can look cheaper than it is. UNION: a row may fit two alternatives.
    const looks = stepAlternatives(step, 't', who).map(
      (condition) => `(select t.ctid from only ${leaf} t where ${condition} offset 0)`,
    );
    const { rows } = await this.#pool.query({
      text: `select ctid::text as tid from (${looks.join(' union ')}) found
             where ctid >= '(${page.fromBlock},0)'::tid order by ctid limit ${page.limit}`,
      rowMode: 'array',
    });
    return rows.map((row: string[]) => row[0] ?? '');
  }

  /** Addresses of the step's rows in one block of a leaf, in heap order. */
  async tidsOfBlock(
    step: DeleteStep | ClearStep,
    leaf: string,
    who: StepOwner,
    block: number,
  ): Promise<string[]> {
    const { rows } = await this.#pool.query({
      text: `select t.ctid::text from only ${leaf} t
             where t.ctid >= '(${block},0)' and t.ctid < '(${block + 1},0)'
               and (${stepRows(step, 't', who)}) order by t.ctid`,
      rowMode: 'array',
    });
    return rows.map((row: string[]) => row[0] ?? '');
  }

  /**
   * One row as people name it: `id = 5` by its primary key, by its address where it has none. Never
   * other contents.
   * @param primaryKey columns; null where the catalogue is to tell them
   */
  async nameRow(leaf: string, tid: string, primaryKey: readonly string[] | null): Promise<string> {
    const columns = primaryKey ?? (await this.#primaryKey(leaf));
    const address = `ctid ${tid}`;
    if (columns.length === 0) return address;
    const { rows } = await this.#pool.query({
      text: `select concat_ws(', ', ${columns
        .map((name) => `${literal(`${name} = `)} || t.${column(name)}::text`)
        .join(', ')}) from only ${leaf} t where t.ctid = ${literal(tid)}`,
      rowMode: 'array',
    });
    return rows[0]?.[0] ?? address;
  }

  async #primaryKey(leaf: string): Promise<string[]> {
    const { rows } = await this.#pool.query(
      `select a.attname::text as name from pg_index i
       cross join lateral unnest(i.indkey::int[]) with ordinality k (attnum, place)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       where i.indrelid = $1::regclass and i.indisprimary order by k.place`,
      [leaf],
    );
    return rows.map((row) => row.name);
  }

  async checkpoints(purgeId: PurgeId): Promise<Map<string, Checkpoint>> {
    const { rows } = await this.#pool.query(
      `select step, pass, leaf, filenode, next_block, done, rows
       from tenant_purge.checkpoint where purge_id = $1`,
      [purgeId],
    );
    return new Map(
      rows.map((row) => [
        row.step,
        {
          pass: row.pass,
          leaf: row.leaf,
          filenode: Number(row.filenode),
          nextBlock: Number(row.next_block),
          done: row.done,
          rows: Number(row.rows),
        },
      ]),
    );
  }

  /** Rows per table that the ledger says were deleted; committed batches only. */
  async deletedRows(
    purgeId: PurgeId,
  ): Promise<{ readonly table: string; readonly rows: number }[]> {
    const { rows } = await this.#pool.query(
      `select table_name as table, sum(rows)::bigint as rows from tenant_purge.batch
       where purge_id = $1 and kind = 'delete' and table_name <> 'redis' group by 1 order by min(id)`,
      [purgeId],
    );
    return rows.map((row) => ({ table: row.table, rows: Number(row.rows) }));
  }

  /** The tenant's rows that are there now, per table, by fresh queries; empty when none are. */
  async residue(plan: Plan, tenantId: TenantId): Promise<Residue[]> {
    const steps = deleteSteps(plan);
    const { rows } = await this.#pool.query({
      text: `select ${steps.map((step) => countOwned(step, tenantId)).join(', ')}`,
      rowMode: 'array',
    });
    const found: unknown[] = rows[0] ?? [];
    return steps
      .map((step, index) => ({ table: step.table as string, count: Number(found[index] ?? 0) }))
      .filter(({ count }) => count > 0);
  }

  /**
   * Rows per table and tenant, one aggregate query a table whatever the number of tenants.
   * @param client a connection in a read-only transaction, so that all tables are seen at one moment
   */
  async countPerTenant(
    client: Queryable,
    plan: Plan,
    tenantIds: readonly TenantId[],
  ): Promise<Map<TenantId, Record<string, number>>> {
    const counted = new Map<TenantId, Record<string, number>>(tenantIds.map((id) => [id, {}]));
    for (const step of deleteSteps(plan)) {
      for (const row of await countPerTenant(client, step, plan.tenant, tenantIds)) {
        const record = counted.get(row.tenantId);
        if (record !== undefined) record[step.table] = (record[step.table] ?? 0) + row.rows;
      }
    }
    return counted;
  }

  /** Of these tenants those that own a row in any table of the plan, by one fresh query a table. */
  async tenantsWithRows(plan: Plan, tenantIds: readonly TenantId[]): Promise<Set<string>> {
    const counted = await this.countPerTenant(this.#pool, plan, tenantIds);
    return new Set(
      [...counted].filter(([, rows]) => Object.keys(rows).length > 0).map(([tenantId]) => tenantId),
    );
  }

  /** What the rows say about the plan's foreign keys for one tenant, all seen at one moment. */
  async references(plan: Plan, tenantId: TenantId): Promise<DataFinding[]> {
    return inTransaction(this.#pool, READ_ONLY, (client) =>
      readReferences(client, plan, [tenantId], { crossings: false }),
    );
  }

  /** Every tenant with its parents; none where the tenant table is no tree. */
  async tenantTree(plan: Plan): Promise<Tenant[]> {
    return plan.tree.length === 0 ? [] : listTenants(this.#pool, plan.tenant, plan.tree);
  }

  /** Rows of a table; `condition` narrows it to rows whose boolean column is true. */
  async countTable(
    client: Queryable,
    table: { readonly table: TableName; readonly partitioned: boolean },
    trueColumn: string | null,
  ): Promise<number> {
    const { rows } = await client.query(
      `select count(*) as rows from ${fromTable(table)}${trueColumn === null ? '' : ` where ${column(trueColumn)}`}`,
    );
    return Number(rows[0]?.rows ?? 0);
  }

  /** Of these tenants, how many are marked as test tenants. */
  async countMarkedTenants(
    client: Queryable,
    tenant: TenantTable,
    tenantIds: readonly TenantId[],
  ): Promise<number> {
    if (tenant.testColumn === null) return 0;
    const { rows } = await client.query(
      `select count(*) as tenants from ${tenant.table}
       where ${column(tenant.testColumn)} and ${column(tenant.key)} = any($1::text[]::${tenant.keyType}[])`,
      [[...tenantIds]],
    );
    return Number(rows[0]?.tenants ?? 0);
  }

  /** Dead rows per table of the plan that VACUUM would clear, most first. */
  async deadRows(
    tables: readonly TableName[],
  ): Promise<{ readonly table: string; readonly deadRows: number }[]> {
    const { rows } = await this.#pool.query(
      `select r.table, coalesce(sum(s.n_dead_tup), 0)::bigint as dead
       from unnest($1::text[]) as r ("table")
       cross join lateral pg_partition_tree(r.table::regclass) t
       join pg_stat_user_tables s on s.relid = t.relid
       group by 1
       union all
       select r.table, s.n_dead_tup from unnest($1::text[]) as r ("table")
       join pg_stat_user_tables s on s.relid = r.table::regclass
       where not exists (select from pg_partition_tree(r.table::regclass))
       order by 2 desc`,
      [[...tables]],
    );
    return rows
      .map((row) => ({ table: row.table, deadRows: Number(row.dead) }))
      .filter(({ deadRows }) => deadRows > 0);
  }
}

const pathsOf = (step: DeleteStep | ClearStep): readonly TenantPath[] =>
  step.kind === 'delete' ? [step.path, ...step.also] : [step.path];

/** Columns of the table's own by which an index finds the rows; none for a condition. */
function ownColumns(way: Way | undefined): readonly string[] {
  switch (way?.kind) {
    case 'column':
      return [way.column];
    case 'parent':
    case 'child':
      return way.columns;
    case 'condition':
    case undefined:
      return [];
    default:
      return way satisfies never;
  }
}
