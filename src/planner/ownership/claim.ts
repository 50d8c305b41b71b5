import type { TableName } from '../../domain/ids.ts';
import type { Guard, Way } from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import {
  areComparable,
  columnOf,
  compareText,
  isMandatory,
  type SchemaMap,
} from '../schema-map.ts';

/**
 * One way in which a table's rows may reach the tenant, and how good it is. It names the table it
 * leads to; that table's own ways are settled apart from it.
 */
export type Claim = ColumnClaim | ParentClaim | ChildClaim | ConditionClaim;

interface AnyClaim {
  readonly table: TableName;
  /** Own columns that it starts from; empty for a condition. */
  readonly columns: readonly string[];
  readonly via: Way['via'];
  /** Some rows have no value for it: the next claim decides for these. */
  readonly ownNullable: boolean;
  /** Some rows may be nobody's, by this table's columns or by those on the way. */
  readonly nullable: boolean;
  /** Tables passed on the way. */
  readonly hops: number;
}

interface ColumnClaim extends AnyClaim {
  readonly kind: 'column';
  readonly column: string;
  readonly when: readonly Guard[];
}

export interface ParentClaim extends AnyClaim {
  readonly kind: 'parent';
  readonly when: readonly Guard[];
  readonly parent: TableName;
  readonly relation: TableName;
  readonly referencedColumns: readonly string[];
}

interface ChildClaim extends AnyClaim {
  readonly kind: 'child';
  readonly key: CatalogueForeignKey;
}

interface ConditionClaim extends AnyClaim {
  readonly kind: 'condition';
  readonly sql: string;
}

/** Puts the claim in its place among `sorted`, best first. */
export function insertClaim(sorted: Claim[], claim: Claim): void {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = sorted[middle];
    if (other !== undefined && compareClaimsFully(other, claim) <= 0) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, claim);
}

/** Sorted, best first; two that follow the same columns to the same columns cannot differ. */
export function distinctClaims(claims: readonly Claim[]): Claim[] {
  const byText = new Map(claims.map((claim) => [claimText(claim), claim]));
  return [...byText.values()].sort(compareClaimsFully);
}

/** Only the best of the claims, those that are equally good with them included. */
export function bestOf(claims: readonly Claim[]): readonly Claim[] {
  const distinct = distinctClaims(claims);
  const [first] = distinct;
  return first === undefined ? [] : distinct.filter((claim) => compareClaims(claim, first) === 0);
}

/** Every value NOT NULL before one that may be missing, then the shorter path. 0: equally good. */
const compareClaims = (left: Claim, right: Claim): number =>
  Number(left.nullable) - Number(right.nullable) || left.hops - right.hops;

/** As `compareClaims`, but never 0 for two different claims: for a choice that must be repeatable. */
const compareClaimsFully = (left: Claim, right: Claim): number =>
  compareClaims(left, right) ||
  compareText(claimText(left), claimText(right)) ||
  compareText(left.table, right.table);

/** The table has the tenant's key in a column of its own. */
export function claimByColumn(
  map: SchemaMap,
  table: TableName,
  column: string,
  via: Way['via'],
  when: readonly Guard[] = [],
): ColumnClaim {
  const nullable = when.length > 0 || !isMandatory(map, table, [column]);
  return {
    kind: 'column',
    table,
    column,
    when,
    columns: [column],
    via,
    ownNullable: nullable,
    nullable,
    hops: 0,
  };
}

/** The table's rows belong to whom the rows they refer to belong to. */
export function claimByKey(
  map: SchemaMap,
  key: CatalogueForeignKey,
  parent: Claim,
  via: Way['via'],
  when: readonly Guard[] = [],
): Claim {
  const carried = carriedOwner(map, key, parent, via);
  if (carried !== null) {
    return when.length === 0 ? carried : { ...carried, when, ownNullable: true, nullable: true };
  }
  return claimByReference(
    map,
    {
      table: key.child,
      columns: key.columns,
      when,
      parent: key.parent,
      relation: key.parentPartition ?? key.parent,
      referencedColumns: key.referencedColumns,
    },
    parent,
    via,
  );
}

/** As `claimByKey`, for references that no foreign key declares. */
export function claimByReference(
  map: SchemaMap,
  reference: Pick<
    ParentClaim,
    'table' | 'columns' | 'when' | 'parent' | 'relation' | 'referencedColumns'
  >,
  parent: Claim,
  via: Way['via'],
): ParentClaim {
  const ownNullable =
    reference.when.length > 0 || !isMandatory(map, reference.table, reference.columns);
  return {
    kind: 'parent',
    ...reference,
    via,
    ownNullable,
    nullable: ownNullable || parent.nullable,
    hops: parent.hops + 1,
  };
}

/**
 * A key that carries the columns by which the parent's own rows are owned, as composite keys do:
 * `(tenant_id, agent_id)` refers to an agent of the tenant that the row itself names. The row then
 * says itself whose it is, and two such keys cannot disagree.
 */
function carriedOwner(
  map: SchemaMap,
  key: CatalogueForeignKey,
  parent: Claim,
  via: Way['via'],
): ColumnClaim | ParentClaim | null {
  if (parent.ownNullable || (parent.kind !== 'column' && parent.kind !== 'parent')) return null;
  const columns = parent.columns.map(
    (column) => key.columns[key.referencedColumns.indexOf(column)] ?? null,
  );
  const own = columns.filter((column) => column !== null);
  const [first] = own;
  if (own.length < columns.length || first === undefined) return null;
  if (!own.every((column, at) => isSameType(map, key, column, parent, at))) return null;
  if (parent.kind === 'column') return claimByColumn(map, key.child, first, via);
  const ownNullable = !isMandatory(map, key.child, own);
  return {
    ...parent,
    table: key.child,
    columns: own,
    via,
    ownNullable,
    nullable: ownNullable || parent.nullable,
  };
}

/**
 * PostgreSQL compares a key as the column referred to does: citext beside text by its case, integer
 * beside numeric by its value. A column of another type must be asked by way of the parent.
 */
function isSameType(
  map: SchemaMap,
  key: CatalogueForeignKey,
  column: string,
  parent: Claim,
  at: number,
): boolean {
  const [child, referred] = [map.byName.get(key.child), map.byName.get(key.parent)];
  const type = child && columnOf(child, column)?.type;
  const expected = referred && columnOf(referred, parent.columns[at] ?? '')?.type;
  return type === undefined || expected === undefined || areComparable(type, expected);
}

/** A one-to-one parent: its row belongs to whom the row that refers to it belongs. */
export const claimByChild = (key: CatalogueForeignKey, child: Claim): ChildClaim => ({
  kind: 'child',
  table: key.parent,
  key,
  columns: key.referencedColumns,
  via: 'configuration',
  ownNullable: true,
  nullable: true,
  hops: child.hops + 1,
});

/** Rows that the operator's own SQL names. */
export const claimByCondition = (table: TableName, sql: string): ConditionClaim => ({
  kind: 'condition',
  table,
  sql,
  columns: [],
  via: 'configuration',
  ownNullable: false,
  nullable: false,
  hops: 0,
});

/** The tables that a claim looks into; the tenant table is named only where it is looked into. */
export function leadsTo(claim: Claim): TableName | null {
  switch (claim.kind) {
    case 'parent':
      return claim.parent;
    case 'child':
      return claim.key.child;
    case 'column':
    case 'condition':
      return null;
    default:
      return claim satisfies never;
  }
}

export function describeClaim(claim: Claim): string {
  const where = 'when' in claim && claim.when.length > 0 ? ` where ${guardText(claim.when)}` : '';
  switch (claim.kind) {
    case 'column':
      return `${claim.column}${where}`;
    case 'parent':
      return `${claim.columns.join(', ')}${where} → ${claim.relation}`;
    case 'child':
      return `${claim.columns.join(', ')} ← ${claim.key.child}`;
    case 'condition':
      return claim.sql;
    default:
      return claim satisfies never;
  }
}

const guardText = (guards: readonly Guard[]): string =>
  guards.map(({ column, value }) => `${column} = ${value}`).join(' and ');

const claimText = (claim: Claim): string =>
  claim.kind === 'parent'
    ? `${describeClaim(claim)}(${claim.referencedColumns.join(',')})`
    : describeClaim(claim);
