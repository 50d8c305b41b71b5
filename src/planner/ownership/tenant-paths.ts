import type { TableName } from '../../domain/ids.ts';
import type { TenantPath, Way } from '../../domain/plan.ts';
import { columnOf, isNarrower, type SchemaMap } from '../schema-map.ts';
import type { Claim } from './claim.ts';

type Claims = ReadonlyMap<TableName, readonly Claim[]>;

/** The schema, and the type of the tenant's key. */
interface PathFacts {
  readonly map: SchemaMap;
  readonly keyType: string;
}

/**
 * The settled claims as tenant paths, each with the paths of the tables that it leads to inside it;
 * tables that share a parent share its path. Claims never lead back to their own table. Pure.
 */
export function makePaths(
  facts: PathFacts,
  settled: Claims,
  staying: Claims,
): {
  readonly paths: ReadonlyMap<TableName, TenantPath>;
  readonly staying: ReadonlyMap<TableName, TenantPath>;
} {
  const known = new Map<TableName, TenantPath>();
  const sizes = new Map<TenantPath, number>();
  const pathOf = (table: TableName): TenantPath => {
    const path = known.get(table) ?? makePath(table, settled.get(table) ?? []);
    known.set(table, path);
    return path;
  };
  const makePath = (table: TableName, claims: readonly Claim[]): TenantPath => {
    const ways: Way[] = [];
    let size = 0;
    for (const claim of claims) {
      const way = wayOf(facts, claim, pathOf);
      const inner = pathBelow(way);
      size += 1 + (inner === null ? 0 : (sizes.get(inner) ?? 0));
      if (ways.length > 0 && size > SIZE_MAX) break;
      ways.push(way);
    }
    const path = { table, partitioned: facts.map.byName.get(table)?.kind === 'partitioned', ways };
    sizes.set(path, size);
    return path;
  };
  return {
    paths: new Map([...settled.keys()].map((table) => [table, pathOf(table)])),
    staying: new Map(
      [...staying]
        .filter(([, claims]) => claims.length > 0)
        .map(([table, claims]) => [table, makePath(table, claims)]),
    ),
  };
}

/**
 * Ways in a path with those below it, each as often as SQL would spell it out. Ways that may be NULL
 * multiply from table to table; rows that only one beyond this explains are nobody's, and a purge that
 * they refer into is refused.
 */
const SIZE_MAX = 300;

const pathBelow = (way: Way): TenantPath | null =>
  way.kind === 'parent' ? way.parent : way.kind === 'child' ? way.child : null;

function wayOf(
  { map, keyType }: PathFacts,
  claim: Claim,
  pathOf: (table: TableName) => TenantPath,
): Way {
  const shared = { via: claim.via, nullable: claim.ownNullable };
  switch (claim.kind) {
    case 'column': {
      const table = map.byName.get(claim.table);
      const type = (table && columnOf(table, claim.column)?.type) ?? '';
      return {
        kind: 'column',
        ...shared,
        column: claim.column,
        when: claim.when,
        ...(isNarrower(type, keyType) ? { comparedAs: keyType } : {}),
      };
    }
    case 'parent':
      return {
        kind: 'parent',
        ...shared,
        columns: claim.columns,
        when: claim.when,
        relation: claim.relation,
        referencedColumns: claim.referencedColumns,
        parent: pathOf(claim.parent),
      };
    case 'child': {
      const parent = map.byName.get(claim.table);
      return {
        kind: 'child',
        ...shared,
        columns: claim.columns,
        columnTypes: claim.columns.map((name) => (parent && columnOf(parent, name)?.type) ?? ''),
        foreignKey: claim.key.name,
        referencingColumns: claim.key.columns,
        child: pathOf(claim.key.child),
      };
    }
    case 'condition':
      return { kind: 'condition', ...shared, sql: claim.sql };
    default:
      return claim satisfies never;
  }
}
