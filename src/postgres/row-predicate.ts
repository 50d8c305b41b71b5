import pg from 'pg';
import type { TableName, TenantId } from '../domain/ids.ts';
import type { PathHop, TenantPath } from '../domain/plan.ts';

/** `TableName` is quoted already; columns are not. */
export const column = (name: string): string => pg.escapeIdentifier(name);
export const columns = (names: readonly string[]): string => names.map(column).join(', ');
export const literal = (text: string): string => pg.escapeLiteral(text);

/**
 * SQL condition that is true for the tenant's rows of `alias`, a table whose path this is:
 * `t."tenant_id" = '…'`, or a semi-join up the hops. The id is the driver's own literal; being of
 * unknown type it takes the column's, so that the column's index serves.
 */
export function ownedRows(path: TenantPath, alias: string, tenantId: TenantId): string {
  const [hop, ...rest] = path.hops;
  if (hop === undefined) return `${alias}.${column(path.column)} = ${literal(tenantId)}`;
  return through(hop, alias, (parent) => ownedRows({ ...path, hops: rest }, parent, tenantId));
}

function through(hop: PathHop, alias: string, condition: (parent: string) => string): string {
  const parent = `${alias}p`;
  const left = hop.columns.map((name) => `${alias}.${column(name)}`).join(', ');
  const right = hop.referencedColumns.map((name) => `${parent}.${column(name)}`).join(', ');
  return `(${left}) in (select ${right} from ${hop.to} ${parent} where ${condition(parent)})`;
}

/**
 * FROM clause and tenant expression for counting a table's rows per tenant:
 * `public.x t join public.y tp on …`, `tp."tenant_id"`.
 */
export function joinToTenant(
  table: TableName,
  path: TenantPath,
): { readonly from: string; readonly tenant: string } {
  let from = `${table} t`;
  let alias = 't';
  for (const hop of path.hops) {
    const parent = `${alias}p`;
    const on = hop.columns
      .map((name, index) => {
        const referenced = hop.referencedColumns[index] ?? name;
        return `${parent}.${column(referenced)} = ${alias}.${column(name)}`;
      })
      .join(' and ');
    from += ` join ${hop.to} ${parent} on ${on}`;
    alias = parent;
  }
  return { from, tenant: `${alias}.${column(path.column)}` };
}
