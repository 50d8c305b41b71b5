import type { ErrorCode } from '../../domain/errors.ts';
import { nearestMatch } from '../../domain/near-miss.ts';
import type { CatalogueTable } from '../catalogue.ts';
import { columnOf, type SchemaMap } from '../schema-map.ts';

/** What is wrong with the rules; all of it is reported at once. */
export interface Problem {
  readonly code: Extract<ErrorCode, 'TABLE_MISSING' | 'COLUMN_MISSING' | 'CONFIG_INVALID'>;
  readonly message: string;
}

/** By the table's name in our form, or by the bare words: `public.Order` finds `public."Order"`. */
export function findTable(
  map: SchemaMap,
  text: string,
  setting: string,
  problems: Problem[],
): CatalogueTable | undefined {
  const found =
    map.tables.find((table) => table.name === text) ??
    map.tables.find((table) => `${table.schema}.${table.relation}` === text);
  if (found !== undefined) return found;
  const isView = map.views.some((view) => view === text || view.replaceAll('"', '') === text);
  const near = nearestMatch(
    text,
    map.tables.map((table) => table.name),
  );
  problems.push({
    code: 'TABLE_MISSING',
    message: isView
      ? `${setting}: ${text} is a view: name the table that holds the rows.`
      : `${setting}: there is no table ${text} in the database.${suggestion(near)}`,
  });
  return undefined;
}

export function checkColumn(
  table: CatalogueTable,
  setting: string,
  name: string,
  problems: Problem[],
): void {
  if (columnOf(table, name) !== undefined) return;
  const names = table.columns.map((column) => column.name);
  problems.push(missingColumn(setting, name, `${table.name} has none`, names));
}

export const missingColumn = (
  setting: string,
  name: string,
  where: string,
  candidates: readonly string[],
): Problem => ({
  code: 'COLUMN_MISSING',
  message: `${setting}: there is no column ${name}, ${where}.${suggestion(nearestMatch(name, candidates))}`,
});

export const suggestion = (near: string | null): string =>
  near === null ? '' : ` Did you mean ${near}?`;
