import type { TableName, TenantId } from '../../domain/ids.ts';
import type { TenantPath, Way } from '../../domain/plan.ts';
import {
  arrayLiteral,
  castTo,
  column,
  equal,
  fromRelation,
  fromTable,
  hasValue,
} from './row-predicate.ts';

/** Whose a row is, as SQL: for questions about many tenants at once. */
export interface Owner {
  /** LEFT JOINs to follow the row's table in FROM; never more than one row for each. */
  readonly joins: string;
  /** The owner's key, of the type of `column` where there is one, else text; NULL for nobody. */
  readonly key: string;
  /**
   * For a single chain of keys: the column that it ends in, whose index and type a condition on the key
   * can use; else null.
   */
  readonly column: OwningColumn | null;
}

interface OwningColumn {
  readonly table: TableName;
  readonly name: string;
  /** Type to compare it as; null: its own. */
  readonly comparedAs: string | null;
}

/**
 * True for the rows that belong to one of the tenants. Keys are compared as their type compares them.
 * @param keyType type of the tenant's key
 */
export const belongsToOneOf = (
  owner: Owner,
  tenantIds: readonly TenantId[],
  keyType: string,
): string =>
  `${comparableKey(owner, keyType)} = any(${arrayLiteral(tenantIds)}${castTo(
    owner.column === null ? textType(keyType) : owner.column.comparedAs,
    '[]',
  )})`;

/** The owner's key, as text that compares as the key does where it is of no column's type. */
export const comparableKey = ({ key, column: owning }: Owner, keyType: string): string =>
  owning === null ? `(${key})${castTo(textType(keyType))}` : key;

/** What to take for text where owners are told as such: citext is equal in upper and lower case. */
export const textType = (keyType: string): string =>
  /(^|\.)citext$/.test(keyType) ? keyType : 'text';

/**
 * Joins and expression for the owner of the rows of `alias`. A condition of the operator's cannot be
 * turned around so: such a path gives NULL, and is to be asked for one tenant at a time.
 * @param joined start of the aliases of the joined tables, where two paths start from one row
 */
export function ownerOf(path: TenantPath, alias: string, joined = alias): Owner {
  const ways = decidingWays(path).map((way, at) => ({
    way,
    owner: ownerByWay(path, way, { alias, next: `${joined}_${at}` }),
  }));
  const [first] = ways;
  if (first === undefined) return NOBODY;
  const joins = ways.map(({ owner }) => owner.joins).join('');
  if (ways.length === 1 && !isGuarded(first.way)) return first.owner;
  const whens = ways.map(
    ({ way, owner }) => `when ${hasValue(way, alias)} then (${owner.key})::text`,
  );
  return { joins, key: `case ${whens.join(' ')} end`, column: null };
}

const NOBODY: Owner = { joins: '', key: 'null::text', column: null };

/** A way that every row has values for ends the list. */
function decidingWays({ ways }: TenantPath): readonly Way[] {
  const last = ways.findIndex((way) => !way.nullable);
  return last < 0 ? ways : ways.slice(0, last + 1);
}

const isGuarded = (way: Way): boolean => 'when' in way && way.when.length > 0;

function ownerByWay(
  { table }: TenantPath,
  way: Way,
  { alias, next }: { readonly alias: string; readonly next: string },
): Owner {
  switch (way.kind) {
    case 'column':
      return {
        joins: '',
        key: `${alias}.${column(way.column)}`,
        column: { table, name: way.column, comparedAs: way.comparedAs ?? null },
      };
    case 'parent': {
      const above = ownerOf(way.parent, next);
      const on = equal(next, way.referencedColumns, alias, way.columns);
      const from = fromRelation(way.relation, way.parent);
      return { ...above, joins: ` left join ${from} ${next} on ${on}${above.joins}` };
    }
    case 'child': {
      const below = ownerOf(way.child, next);
      const refers = equal(next, way.referencingColumns, alias, way.columns);
      const key = `(select (${below.key})::text from ${fromTable(way.child)} ${next}${below.joins} where ${refers} limit 1)`;
      return { joins: '', key, column: null };
    }
    case 'condition':
      return NOBODY;
    default:
      return way satisfies never;
  }
}
