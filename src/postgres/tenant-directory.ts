import type pg from 'pg';
import { asTenantId, type TenantId } from '../domain/ids.ts';
import type { TenantTable } from '../domain/plan.ts';
import { column } from './row-predicate.ts';

/** A tenant as the tenant table has it. */
export interface Tenant {
  readonly id: TenantId;
  readonly label: string;
}

type Queryable = pg.Pool | pg.ClientBase;

const columnsOf = (tenant: TenantTable): string => {
  const key = `${column(tenant.key)}::text`;
  const label = tenant.label === null ? key : `coalesce(${column(tenant.label)}::text, ${key})`;
  return `${key} as id, ${label} as label`;
};

/** Every tenant, by id. */
export async function listTenants(db: Queryable, tenant: TenantTable): Promise<Tenant[]> {
  const { rows } = await db.query(`select ${columnsOf(tenant)} from ${tenant.table} order by 1`);
  return rows.map(toTenant);
}

/** Those of the ids that are tenants. Ids are compared as text: exactly as PostgreSQL prints them. */
export async function findTenants(
  db: Queryable,
  tenant: TenantTable,
  ids: readonly string[],
): Promise<Tenant[]> {
  const { rows } = await db.query(
    `select ${columnsOf(tenant)} from ${tenant.table} where ${column(tenant.key)}::text = any($1)`,
    [[...ids]],
  );
  return rows.map(toTenant);
}

/** Tenants whose id contains one of these texts; at most ten, for a message. */
export async function tenantsContaining(
  db: Queryable,
  tenant: TenantTable,
  texts: readonly string[],
): Promise<TenantId[]> {
  const { rows } = await db.query(
    `select ${column(tenant.key)}::text as id from ${tenant.table}
     where exists (select from unnest($1::text[]) as x where position(x in ${column(tenant.key)}::text) > 0)
     order by 1 limit 10`,
    [[...texts]],
  );
  return rows.map((row) => asTenantId(row.id));
}

const toTenant = (row: { id: string; label: string }): Tenant => ({
  id: asTenantId(row.id),
  label: row.label,
});
