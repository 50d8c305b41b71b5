import pg from 'pg';
import type { PurgeId, TableName, TenantId } from '../../domain/ids.ts';
import type { ClearStep, DeleteStep, Guard, TenantPath, Way } from '../../domain/plan.ts';

/** `::bigint`; nothing where the server is to find the type. `format_type` has quoted it. */
export const castTo = (type: string | null | undefined, suffix = ''): string =>
  type === null || type === undefined ? '' : `::${type}${suffix}`;

/** `TableName` is quoted already; columns are not. */
export const column = (name: string): string => pg.escapeIdentifier(name);
export const literal = (text: string): string => pg.escapeLiteral(text);

/** Array as a literal of no type yet: compared with a column it takes that column's. */
export const arrayLiteral = (texts: readonly string[]): string =>
  literal(`{${texts.map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`);

/** ONLY: plain inheritance must not widen anything; a partitioned table has no rows of its own. */
export const fromTable = (table: { table: TableName; partitioned: boolean }): string =>
  `${table.partitioned ? '' : 'only '}${table.table}`;

/** As `fromTable`, for a table or one partition of it, which may be partitioned in turn. */
export const fromRelation = (
  relation: TableName,
  of: { table: TableName; partitioned: boolean },
): string => (relation === of.table ? fromTable(of) : relation);

/** Whose rows, and under which purge keys of one-to-one parents are remembered. */
export interface StepOwner {
  readonly tenantId: TenantId;
  readonly purgeId: PurgeId;
}

/**
 * SQL condition that is true for the tenant's rows of `alias`, a table whose path this is:
 * `t."tenant_id" = '…'`, a semi-join up the keys, or `(w1 or (n1 and w2) …)` where the first way for
 * which a row has values decides; n1 says that it has none. The id is the driver's own literal; being
 * of unknown type it takes the column's, so that the column's index serves. Only for a narrower integer
 * it has the key's: an index of integers serves all their types, and 3,000,000,000 is no error.
 */
export function ownedRows(path: TenantPath, alias: string, tenantId: TenantId): string {
  const arms: string[] = [];
  const without: string[] = [];
  for (const way of path.ways) {
    arms.push([...without, ownedByWay(way, alias, tenantId)].join(' and '));
    if (!way.nullable) break;
    without.push(`not (${hasValue(way, alias)})`);
  }
  return anyOf(arms);
}

/** Nothing to choose from is nobody's. */
const anyOf = (conditions: readonly string[]): string =>
  conditions.length > 1
    ? `(${conditions.map((condition) => `(${condition})`).join(' or ')})`
    : (conditions[0] ?? 'false');

function ownedByWay(way: Way, alias: string, tenantId: TenantId): string {
  switch (way.kind) {
    case 'column':
      return [
        `${alias}.${column(way.column)} = ${literal(tenantId)}${castTo(way.comparedAs)}`,
        ...guards(way.when, alias),
      ].join(' and ');
    case 'parent': {
      const from = fromRelation(way.relation, way.parent);
      const parent = `${alias}p`;
      const owned = ownedRows(way.parent, parent, tenantId);
      const semiJoin = `${tuple(way.columns, alias)} in (select ${qualified(way.referencedColumns, parent)} from ${from} ${parent} where ${owned})`;
      return [semiJoin, ...guards(way.when, alias)].join(' and ');
    }
    case 'child': {
      const child = `${alias}c`;
      const owned = ownedRows(way.child, child, tenantId);
      return `${tuple(way.columns, alias)} in (select ${qualified(way.referencingColumns, child)} from ${fromTable(way.child)} ${child} where ${owned})`;
    }
    case 'condition':
      // A comment at its end must not swallow the bracket.
      return `(${way.sql.replaceAll('{tenantId}', () => literal(tenantId))}\n)`;
    default:
      return way satisfies never;
  }
}

/** Never unknown: the row has every value that the way starts from, so that the way decides. */
export function hasValue(way: Way, alias: string): string {
  switch (way.kind) {
    case 'column':
      return present([way.column], way.when, alias);
    case 'parent':
      return present(way.columns, way.when, alias);
    case 'child': {
      const child = `${alias}c`;
      return `exists (select from ${fromTable(way.child)} ${child} where ${equal(child, way.referencingColumns, alias, way.columns)})`;
    }
    case 'condition':
      return 'true';
    default:
      return way satisfies never;
  }
}

const present = (names: readonly string[], when: readonly Guard[], alias: string): string =>
  [
    ...names.map((name) => `${alias}.${column(name)} is not null`),
    ...guards(when, alias).map((guard) => `(${guard}) is true`),
  ].join(' and ');

const guards = (when: readonly Guard[], alias: string): string[] =>
  when.map((guard) => `${alias}.${column(guard.column)} = ${literal(guard.value)}`);

export const qualified = (names: readonly string[], alias: string): string =>
  names.map((name) => `${alias}.${column(name)}`).join(', ');

const tuple = (names: readonly string[], alias: string): string => `(${qualified(names, alias)})`;

/** `c."a" = p."x" and c."b" = p."y"`. */
export const equal = (
  left: string,
  leftColumns: readonly string[],
  right: string,
  rightColumns: readonly string[],
): string =>
  leftColumns
    .map((name, at) => `${left}.${column(name)} = ${right}.${column(rightColumns[at] ?? name)}`)
    .join(' and ');

/** True for the rows of `alias` that the step has yet to change. */
export const stepRows = (step: DeleteStep | ClearStep, alias: string, who: StepOwner): string =>
  anyOf(stepAlternatives(step, alias, who));

/**
 * The parts of `stepRows`, each of which an index of its own may serve: joined by OR they would make
 * the server read the whole table. A row may fit several.
 */
export function stepAlternatives(
  step: DeleteStep | ClearStep,
  alias: string,
  who: StepOwner,
): string[] {
  if (step.kind === 'clear') {
    return [`${ownedRows(step.path, alias, who.tenantId)} and ${notYetCleared(step, alias)}`];
  }
  const own =
    step.unlessReferenced === null
      ? ownedRows(step.path, alias, who.tenantId)
      : rememberedRows(step, alias, who.purgeId);
  return [own, ...step.also.map((path) => ownedRows(path, alias, who.tenantId))];
}

/**
 * Parts of the tenant's rows as they are before the purge, no row in two of them: one-to-one parents
 * by the rows that refer to them, since nothing is remembered yet.
 */
export function countedParts(step: DeleteStep, alias: string, tenantId: TenantId): string[] {
  const paths = [step.path, ...step.also].map((path) => ownedRows(path, alias, tenantId));
  return paths.map((condition, at) =>
    [condition, ...paths.slice(0, at).map((earlier) => `(${earlier}) is not true`)].join(' and '),
  );
}

/** One by one: `(a) is distinct from (null)` wants an equality, which json and others lack. */
function notYetCleared(step: ClearStep, alias: string): string {
  const different = step.columns.map((name, at) => {
    const value = step.values?.[at] ?? null;
    const current = `${alias}.${column(name)}`;
    return value === null
      ? `${current} is not null`
      : `${current} is distinct from ${literal(value)}`;
  });
  return `(${different.join(' or ')})`;
}

/**
 * One-to-one parents whose keys this purge has written down, and to which nothing refers (any more).
 */
export function rememberedRows(step: DeleteStep, alias: string, purgeId: PurgeId): string {
  const remembered = step.path.ways.flatMap((way) => {
    if (way.kind !== 'child') return [];
    const key = way.columnTypes.map((type, at) => `r.key[${at + 1}]::${type}`).join(', ');
    return [
      `${tuple(way.columns, alias)} in (select ${key} from tenant_purge.remembered r
        where r.purge_id = ${literal(purgeId)} and r.foreign_key = ${literal(way.foreignKey)}
          and r.parent = ${literal(step.table)})`,
    ];
  });
  const unreferenced = (step.unlessReferenced ?? []).map(
    (key) => `not exists (select from ${key.partitioned ? '' : 'only '}${key.relation} ${alias}r
      where ${equal(`${alias}r`, key.columns, alias, key.referencedColumns)})`,
  );
  return [anyOf(remembered), ...unreferenced].join(' and ');
}
