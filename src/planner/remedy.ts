import { quoteIdentifier } from '../domain/identifier.ts';
import type { TableName } from '../domain/ids.ts';
import type { CatalogueForeignKey } from './catalogue.ts';

/** What to write in purge.config about one table. */
export const tableRule = (
  table: TableName,
  rule: {
    readonly ownedBy?: readonly string[];
    readonly where?: string;
    readonly onPurge?: 'delete' | 'keep';
  },
): string => {
  const body =
    rule.ownedBy !== undefined
      ? `"ownedBy": [${rule.ownedBy.map((column) => JSON.stringify(column)).join(', ')}]`
      : rule.where !== undefined
        ? `"where": ${JSON.stringify(rule.where)}`
        : `"onPurge": ${JSON.stringify(rule.onPurge)}`;
  return `"tables": { ${JSON.stringify(table)}: { ${body} } }`;
};

/** Whose the rows of a table are, of whose key no rule can say it; null where a rule can. */
export function ownerBesideKey(key: CatalogueForeignKey): string | null {
  if (key.period === true) {
    return tableRule(key.child, { where: '<SQL of your own, with {tenantId}>' });
  }
  return key.childPartition === undefined ? null : tableRule(key.child, { ownedBy: key.columns });
}

/** Columns as they stand in SQL: `a, "B"`. */
export const columnList = (columns: readonly string[]): string =>
  columns.map(quoteIdentifier).join(', ');

/** `public.a(x) → public.b(id)`, for messages and facts. */
export const describeKey = (key: CatalogueForeignKey): string =>
  `${key.child}(${columnList(key.columns)}) → ${key.parent}(${columnList(key.referencedColumns)})`;
