import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { PurgeError } from '../domain/errors.ts';
import { type IdForm, idFormOf } from '../domain/id-form.ts';
import type { TenantTable } from '../domain/plan.ts';
import { column } from './rows/row-predicate.ts';

/** Which of some ids are tenants now. */
export interface Presence {
  readonly present: ReadonlySet<string>;
  /** No tenant's, but one differs from it by case only, or is equal by the column's collation. */
  readonly spelledOtherwise: ReadonlySet<string>;
}

const LOOK_AGAIN_MS = 50;

/**
 * The tenant table as something that is not in it must be looked for: typed, so that the key's index
 * serves, and with nothing hidden from the role. Reads only.
 */
export class TenantPresence {
  readonly form: IdForm;
  readonly #pool: pg.Pool;
  readonly #tenant: TenantTable;

  private constructor(pool: pg.Pool, tenant: TenantTable, form: IdForm) {
    this.#pool = pool;
    this.#tenant = tenant;
    this.form = form;
  }

  /**
   * @throws PurgeError PRIVILEGE_MISSING where row security hides tenants from this role: all that it
   *   does not see would look as if it were not there
   */
  static async open(pool: pg.Pool, tenant: TenantTable): Promise<TenantPresence> {
    const { rows } = await pool.query<{ type: string; is_hidden: boolean }>(
      // The type below a domain, with the domain's own length.
      `with recursive base (oid, mod) as (
         select atttypid, atttypmod from pg_attribute
         where attrelid = $1::regclass and attname = $2
         union all
         select t.typbasetype, t.typtypmod from base join pg_type t on t.oid = base.oid
         where t.typtype = 'd')
       select format_type(base.oid, base.mod) as type,
         row_security_active($1::regclass::oid) as is_hidden
       from base join pg_type t on t.oid = base.oid where t.typtype <> 'd'`,
      [tenant.table, tenant.key],
    );
    const [found] = rows;
    if (found === undefined) throw new Error(`${tenant.table} has lost its key ${tenant.key}`);
    if (found.is_hidden) {
      throw new PurgeError(
        'PRIVILEGE_MISSING',
        `Row security of ${tenant.table} applies to this role: a tenant that it does not see would look like one that does not exist.`,
        { remedy: 'Use a role with BYPASSRLS in DATABASE_URL; see ops/sql/roles.sql.' },
      );
    }
    return new TenantPresence(pool, tenant, idFormOf(found.type));
  }

  /** Each of the ids must have the form. */
  async look(ids: readonly string[]): Promise<Presence> {
    const present = new Set<string>();
    const spelledOtherwise = new Set<string>();
    if (ids.length > 0) {
      const { rows } = await this.#pool.query<{ id: string; is_exact: boolean }>(this.#query(), [
        [...ids],
      ]);
      for (const { id, is_exact } of rows) if (is_exact) present.add(id);
      for (const { id } of rows) if (!present.has(id)) spelledOtherwise.add(id);
    }
    return { present, spelledOtherwise };
  }

  #query(): string {
    const { table, key } = this.#tenant;
    const name = `t.${column(key)}`;
    const { form } = this;
    switch (form.kind) {
      case 'uuid':
        return `select ${name}::text as id, true as is_exact from ${table} t
                where ${name} = any ($1::text[]::uuid[])`;
      case 'integer':
        return `select ${name}::text as id, true as is_exact from ${table} t
                where ${name} = any ($1::text[]::bigint[])`;
      case 'text':
      case 'unknown':
        // Three joins that hash: by bytes, without case, and by the column's own collation.
        return `
          with asked as (select id from unnest($1::text[]) as a (id))
          select a.id, true as is_exact from asked a join ${table} t
            on ${name}::text collate "C" = a.id collate "C"
          union all
          select a.id, false from asked a join ${table} t on lower(${name}::text) = lower(a.id)
          union all
          select a.id, false from asked a join ${table} t on ${name}::text = a.id`;
      default:
        return form satisfies never;
    }
  }

  /**
   * Waits until every transaction has ended that writes to the tenant table now. A tenant that one of
   * them has inserted is seen afterwards, or will never be; locks nothing and holds nobody up.
   * @throws PurgeError TIMED_OUT naming the session that goes on writing
   */
  async settleWriters(waitMsMax: number): Promise<void> {
    const giveUpAt = performance.now() + waitMsMax;
    const writers = await this.#writers(null);
    let left = writers;
    while (left.length > 0) {
      if (performance.now() > giveUpAt) {
        throw new PurgeError(
          'TIMED_OUT',
          `A transaction (process ${left[0]?.pid ?? 'prepared'}) has been writing to ${this.#tenant.table} for more than ${waitMsMax / 1_000} s: it may be creating a tenant whose keys would go. Keys are left.`,
          {
            details: { pids: left.map(({ pid }) => pid) },
            remedy: 'Let that transaction end, or end it, then run the same command: it goes on.',
          },
        );
      }
      await sleep(LOOK_AGAIN_MS);
      left = await this.#writers(writers.map(({ transaction }) => transaction));
    }
  }

  async #writers(
    among: readonly string[] | null,
  ): Promise<{ readonly transaction: string; readonly pid: number | null }[]> {
    const { rows } = await this.#pool.query<{ transaction: string; pid: number | null }>(
      // The table, and its partitions or heirs: an INSERT may name them.
      `with recursive family (oid) as (
         select $1::regclass::oid
         union select i.inhrelid from family join pg_inherits i on i.inhparent = family.oid)
       select distinct l.virtualtransaction as transaction, l.pid
       from pg_locks l join family on l.relation = family.oid
       where l.locktype = 'relation' and l.granted
         and l.database = (select oid from pg_database where datname = current_database())
         and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
         and ($2::text[] is null or l.virtualtransaction = any ($2))`,
      [this.#tenant.table, among],
    );
    return rows;
  }
}
