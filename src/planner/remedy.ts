import { quoteIdentifier } from '../domain/identifier.ts';
import type { TableName } from '../domain/ids.ts';
import type { CatalogueForeignKey } from './catalogue.ts';

/** What to write in purge.config about one table. */
export const tableRule = (
  table: TableName,
  rule: { readonly ownedBy?: readonly string[]; readonly onPurge?: 'delete' | 'keep' },
): string => {
  const body =
    rule.ownedBy === undefined
      ? `"onPurge": ${JSON.stringify(rule.onPurge)}`
      : `"ownedBy": [${rule.ownedBy.map((column) => JSON.stringify(column)).join(', ')}]`;
  return `"tables": { ${JSON.stringify(table)}: { ${body} } }`;
};

/** Columns as they stand in SQL: `a, "B"`. */
export const columnList = (columns: readonly string[]): string =>
  columns.map(quoteIdentifier).join(', ');

/** `public.a(x) → public.b(id)`, for messages and facts. */
export const describeKey = (key: CatalogueForeignKey): string =>
  `${key.child}(${columnList(key.columns)}) → ${key.parent}(${columnList(key.referencedColumns)})`;
