import type pg from 'pg';
import type { ArchiveLayout } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import { asTableName, type TableName, type TenantId } from '../../domain/ids.ts';
import { type DeleteStep, deleteSteps, type Plan } from '../../domain/plan.ts';
import type { PlanRules } from '../../planner/rules.ts';
import { type Database, inTransaction, READ_ONLY, withConnection } from '../database.ts';
import { readPlan } from '../read-plan.ts';
import { NO_TIME_LIMIT } from '../role-settings.ts';
import { findTenants, type Tenant } from '../tenant-directory.ts';
import { runCopying } from './copy-query.ts';
import { enterCopying } from './copy-settings.ts';
import { LayoutReader, type RowSource } from './layout-reader.ts';
import { countPerTenant } from './row-counts.ts';
import { countedParts, fromTable } from './row-predicate.ts';

/** A copy of a large table takes its time; the most that a timer takes, 24 days. */
const COPY_MS_MAX = 2 ** 31 - 1;

/** Takes COPY text; false: hold it until `drained`. */
export interface CopyOut {
  write(bytes: Buffer): boolean;
  drained(): Promise<void>;
}

/**
 * Runs `work` over one moment of the database: REPEATABLE READ, READ ONLY, with the plan's tables locked
 * against DDL first, since COPY takes the columns as they are and not as they were.
 * @throws PurgeError DRIFT where the schema changed while it began; PRIVILEGE_MISSING; driver errors
 */
export async function withTenantSnapshot<Result>(
  database: Database,
  options: { readonly rules: PlanRules; readonly lockTimeoutMs: number },
  work: (snapshot: TenantSnapshot) => Promise<Result>,
): Promise<Result> {
  const { pool } = database;
  const expected = await inTransaction(pool, READ_ONLY, (client) =>
    readPlan(client, options.rules),
  );
  return withConnection(pool, async (client) => {
    // None of these takes the snapshot yet, as a SELECT would: a table that is rewritten before it is locked
    // would look empty.
    await client.query(READ_ONLY);
    await client.query(`set local lock_timeout = ${options.lockTimeoutMs}`);
    await client.query(`set local statement_timeout = 0`);
    await client.query(`set local idle_in_transaction_session_timeout = 0`);
    // Rows that a policy hides are an error instead of a gap.
    await client.query(`set local row_security = off`);
    const tables = deleteSteps(expected).map(fromTable);
    if (tables.length > 0) {
      await client.query(`lock table ${tables.join(', ')} in access share mode`);
    }
    await client.query(`${NO_TIME_LIMIT};\n${enterCopying()}`);
    const plan = await readPlan(client, options.rules);
    if (plan.fingerprint !== expected.fingerprint) {
      throw new PurgeError('DRIFT', 'The schema changed while the snapshot was taken.', {
        remedy: 'Wait until the migration is through, then try again.',
      });
    }
    const result = await work(new TenantSnapshot(client, plan));
    await client.query('COMMIT');
    return result;
  });
}

/** Tenants' rows at one moment. */
export class TenantSnapshot {
  readonly plan: Plan;
  readonly #client: pg.ClientBase;
  readonly #layouts = new LayoutReader();

  constructor(client: pg.ClientBase, plan: Plan) {
    this.#client = client;
    this.plan = plan;
  }

  async searchPath(): Promise<string> {
    const { rows } = await this.#client.query("select current_setting('search_path') as path");
    return String(rows[0]?.path);
  }

  async tenant(id: TenantId): Promise<Tenant | null> {
    const [found] = await findTenants(this.#client, this.plan.tenant, [id]);
    return found ?? null;
  }

  /** The tenant's rows of a step's table. */
  async count(step: DeleteStep, id: TenantId): Promise<number> {
    const counted = await countPerTenant(this.#client, step, this.plan.tenant, [id]);
    return counted.reduce((sum, { rows }) => sum + rows, 0);
  }

  /** Where the rows of a table lie: itself, or its leaves. */
  async sources({ table, partitioned }: DeleteStep): Promise<RowSource[]> {
    if (!partitioned) return [{ table, relation: table }];
    const { rows } = await this.#client.query(
      `select format('%I.%I', n.nspname, c.relname) as name
       from pg_partition_tree($1::regclass) t join pg_class c on c.oid = t.relid
       join pg_namespace n on n.oid = c.relnamespace
       where t.isleaf order by format('%I.%I', n.nspname, c.relname) collate "C"`,
      [table],
    );
    return rows.map((row) => ({ table, relation: asTableName(row.name) }));
  }

  async layouts(sources: readonly RowSource[]): Promise<readonly ArchiveLayout[]> {
    if (sources.length === 0) return [];
    const { rows } = await this.#client.query(`select ${LayoutReader.digestOf(sources)} as digest`);
    return this.#layouts.read(this.#client, sources, String(rows[0]?.digest));
  }

  /** Streams the tenant's rows of one relation as COPY text. */
  async copy(step: DeleteStep, relation: TableName, id: TenantId, out: CopyOut): Promise<void> {
    const copies = countedParts(step, 't', id).map(
      (condition) => `copy (select t.* from only ${relation} t where ${condition}) to stdout`,
    );
    await runCopying(
      this.#client,
      { text: copies.join(';\n'), query_timeout: COPY_MS_MAX },
      { write: (_, bytes) => out.write(bytes), drained: () => out.drained() },
    );
  }

  /** Foreign keys between the plan's tables, of partitions as their tables'. */
  async foreignKeys(): Promise<{ readonly child: TableName; readonly parent: TableName }[]> {
    const { rows } = await this.#client.query(
      `select distinct format('%I.%I', cn.nspname, c.relname) as child,
              format('%I.%I', pn.nspname, p.relname) as parent
       from pg_constraint k
       join pg_class c on c.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)
       join pg_namespace cn on cn.oid = c.relnamespace
       join pg_class p on p.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
       join pg_namespace pn on pn.oid = p.relnamespace
       where k.contype = 'f'`,
    );
    const known = new Set<string>(deleteSteps(this.plan).map(({ table }) => table));
    return rows
      .filter((row) => known.has(row.child) && known.has(row.parent))
      .map((row) => ({ child: asTableName(row.child), parent: asTableName(row.parent) }));
  }
}
