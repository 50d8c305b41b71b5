import type { TableName } from '../domain/ids.ts';
import type { PathHop, TenantPath } from '../domain/plan.ts';
import type { CatalogueForeignKey } from './catalogue.ts';
import { compareText, isMandatory, type SchemaMap } from './schema-map.ts';

/** One way in which a table's rows may reach the tenant, and how good it is. */
export interface Claim {
  readonly path: TenantPath;
  /** The table's own columns that the path starts from. */
  readonly columns: readonly string[];
  /** A hop or the last column may be NULL: some rows may be nobody's. */
  readonly nullable: boolean;
}

/** Every value NOT NULL before one that may be missing, then the shorter path. 0: equally good. */
export const compareClaims = (left: Claim, right: Claim): number =>
  Number(left.nullable) - Number(right.nullable) || left.path.hops.length - right.path.hops.length;

/** As `compareClaims`, but never 0 for two different paths: for a choice that must be repeatable. */
export const compareClaimsFully = (left: Claim, right: Claim): number =>
  compareClaims(left, right) || compareText(claimText(left), claimText(right));

/** Two claims that follow the same columns to the same columns cannot differ in the data. */
export function distinctClaims(claims: readonly Claim[]): Claim[] {
  const byText = new Map(claims.map((claim) => [claimText(claim), claim]));
  return [...byText.values()].sort(compareClaimsFully);
}

/** The table has the tenant's key in a column of its own. */
export function claimByColumn(
  map: SchemaMap,
  table: TableName,
  column: string,
  via: TenantPath['via'],
): Claim {
  return {
    path: { hops: [], table, column, via },
    columns: [column],
    nullable: !isMandatory(map, table, [column]),
  };
}

/** The table's rows belong to whom the rows they refer to belong to. */
export function claimByKey(
  map: SchemaMap,
  key: CatalogueForeignKey,
  parent: Claim,
  via: TenantPath['via'],
): Claim {
  const hop: PathHop = {
    from: key.child,
    columns: key.columns,
    to: key.parent,
    referencedColumns: key.referencedColumns,
  };
  return {
    path: { ...parent.path, hops: [hop, ...parent.path.hops], via },
    columns: key.columns,
    nullable: parent.nullable || !isMandatory(map, key.child, key.columns),
  };
}

/** A foreign key to the tenant table: by its key, or by way of another unique column of it. */
export function claimByTenantKey(
  map: SchemaMap,
  key: CatalogueForeignKey,
  tenant: { readonly claim: Claim; readonly key: string },
  via: TenantPath['via'],
): Claim {
  const column = key.columns[key.referencedColumns.indexOf(tenant.key)];
  return column === undefined
    ? claimByKey(map, key, tenant.claim, via)
    : claimByColumn(map, key.child, column, via);
}

const claimText = (claim: Claim): string =>
  [
    ...claim.path.hops.map(
      (hop) => `${hop.columns.join(',')}>${hop.to}(${hop.referencedColumns.join(',')})`,
    ),
    `${claim.path.table}.${claim.path.column}`,
  ].join('/');
