import type pg from 'pg';
import { asTenantId, type TenantId } from '../domain/ids.ts';
import type { Plan, TenantTable } from '../domain/plan.ts';
import { column } from './rows/row-predicate.ts';

/** A tenant as the tenant table has it. */
export interface Tenant {
  readonly id: TenantId;
  readonly label: string;
  /**
   * Tenants that it refers to by a key of the tree, each once; perhaps itself. Absent where it refers
   * to none, where the tenant table is no tree, or where nobody looked.
   */
  readonly parents?: readonly TenantId[];
}

type Queryable = pg.Pool | pg.ClientBase;

const columnsOf = (tenant: TenantTable): string => {
  const key = `${column(tenant.key)}::text`;
  const label = tenant.label === null ? key : `coalesce(${column(tenant.label)}::text, ${key})`;
  return `${key} as id, ${label} as label`;
};

/**
 * Every tenant, by id, with its parents by the keys of `tree`. Two queries where there is a tree: in a
 * transaction of one snapshot both see the same.
 */
export async function listTenants(
  db: Queryable,
  tenant: TenantTable,
  tree: Plan['tree'] = [],
): Promise<Tenant[]> {
  const { rows } = await db.query(`select ${columnsOf(tenant)} from ${tenant.table} order by 1`);
  const tenants = rows.map(toTenant);
  if (tree.length === 0) return tenants;
  const parents = await readParents(db, tenant, tree);
  return tenants.map((found) => {
    const above = parents.get(found.id);
    return above === undefined ? found : { ...found, parents: above };
  });
}

/**
 * All edges at once: a recursion in SQL would read as many where everybody goes, and who is below
 * whom is then a matter of pure code, circles included.
 */
async function readParents(
  db: Queryable,
  tenant: TenantTable,
  tree: Plan['tree'],
): Promise<ReadonlyMap<string, TenantId[]>> {
  const key = column(tenant.key);
  const edges = tree.map(({ columns, referencedColumns }) => {
    const on = columns.map((name, at) => {
      const referenced = referencedColumns[at] ?? name;
      return `p.${column(referenced)} = c.${column(name)}`;
    });
    return `select c.${key}::text as child, p.${key}::text as parent
      from ${tenant.table} c join ${tenant.table} p on ${on.join(' and ')}`;
  });
  // UNION, not UNION ALL: two keys often name the same parent.
  const { rows } = await db.query(`${edges.join(' union ')} order by 1, 2`);
  const parents = new Map<string, TenantId[]>();
  for (const { child, parent } of rows) {
    const above = parents.get(child);
    if (above === undefined) parents.set(child, [asTenantId(parent)]);
    else above.push(asTenantId(parent));
  }
  return parents;
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
