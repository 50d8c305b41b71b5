import { chance, type Draft, type Drafts, finish, NULL_SHARE, tenantKey } from './drafts.ts';
import { type ForeignKey, fullValues, type Model, type Table } from './model.ts';

/** Passes in which references are chosen (anew), then those that may only clear or drop. */
const CHOOSING_PASSES = 4;

/** True where a value changed or a row went: then there is something to look at again. */
export function referAll(
  drafts: Drafts,
  keys: readonly ForeignKey[],
  options: { readonly pass: number; readonly strayShare: number },
): boolean {
  let changed = false;
  for (const key of keys) {
    const rows = drafts.get(key.child) ?? [];
    const parents = drafts.get(key.parent) ?? [];
    const kept = rows.filter((row) => {
      if (isSatisfied(key, row, parents)) return true;
      changed = true;
      const mayChoose = options.pass <= CHOOSING_PASSES;
      if (mayChoose && choose(key, row, parents, options.strayShare)) return true;
      return clear(key, row) || mayChoose;
    });
    drafts.set(key.child, kept);
  }
  return changed;
}

function isSatisfied(key: ForeignKey, row: Draft, parents: readonly Draft[]): boolean {
  const values = key.columns.map((column) => row.values[column]);
  if (values.includes(undefined)) return false;
  const nulls = values.filter((value) => value === null).length;
  if (nulls > 0) return !key.matchFull || nulls === values.length;
  return parents.some((parent) => matches(key, parent, values));
}

const matches = (
  key: ForeignKey,
  parent: Draft,
  values: readonly (string | null | undefined)[],
): boolean =>
  key.referencedColumns.every((column, index) => {
    const wanted = values[index];
    return wanted === undefined || wanted === parent.values[column];
  });

/** Makes the row refer to a row of its owner, or now and then of another. False where it cannot. */
function choose(
  key: ForeignKey,
  row: Draft,
  parents: readonly Draft[],
  strayShare: number,
): boolean {
  const own = ownColumns(key, row);
  const shared = key.columns.filter((column) => !own.includes(column));
  if (own.length === 0 || shared.some((column) => row.values[column] === null)) return false;
  const fixed = key.columns.map((column) =>
    own.includes(column) ? undefined : row.values[column],
  );
  const fitting = parents.filter(
    (parent) =>
      matches(key, parent, fixed) && fullDraftValues(parent, key.referencedColumns) !== null,
  );
  const luck = chance(row.seed, key.name);
  const isNullable = own.some((name) => isNullableColumn(row.table, name));
  if (isNullable && luck > 0.5 - NULL_SHARE && luck < 0.5) return false;
  const same = fitting.filter(({ owner }) => owner === row.owner);
  const nobodys = fitting.filter(({ owner }) => owner === null);
  const isStray = strayShare > 0 && luck > 1 - strayShare;
  const preferred = isStray ? fitting : same.length > 0 ? same : nobodys;
  const offset = Math.floor(chance(row.seed, `${key.name} row`) * preferred.length);
  const chosen = preferred[(row.number - 1 + offset) % preferred.length];
  if (chosen === undefined) return false;
  for (const [index, column] of key.columns.entries()) {
    const referenced = key.referencedColumns[index];
    if (own.includes(column) && referenced !== undefined) {
      row.values[column] = chosen.values[referenced];
    }
  }
  return true;
}

/** Makes the row refer to nothing. False where its columns are NOT NULL. */
function clear(key: ForeignKey, row: Draft): boolean {
  const own = ownColumns(key, row);
  const isShared = key.columns.some(
    (column) => !own.includes(column) && row.values[column] === null,
  );
  const nullable = own.filter((column) => isNullableColumn(row.table, column));
  const enough = key.matchFull ? own.length : isShared ? 0 : 1;
  if (nullable.length < enough || (key.matchFull && isShared)) return false;
  for (const column of own)
    row.values[column] = nullable.includes(column) ? null : emptyValue(row, column);
  return true;
}

/** The value of a column that must have one although its key refers to nothing. */
const emptyValue = (row: Draft, column: string): string =>
  row.table.columns.find(({ name }) => name === column)?.type === 'uuid'
    ? tenantKey('uuid', 8)
    : '8';

const ownColumns = (key: ForeignKey, row: Draft): string[] =>
  key.columns.filter((name) =>
    row.table.columns.some((column) => column.name === name && column.role === 'reference'),
  );

const isNullableColumn = (table: Table, name: string): boolean =>
  table.columns.some((column) => column.name === name && !column.notNull);

function fullDraftValues(row: Draft, columns: readonly string[]): readonly string[] | null {
  return columns.every((column) => row.values[column] !== undefined)
    ? fullValues(finish(row.table, row.values), columns)
    : null;
}

/** Of rows that a unique constraint keeps apart only the first stays. True where one went. */
export function dropDuplicates(model: Model, drafts: Drafts): boolean {
  let dropped = false;
  for (const table of model.tables) {
    const uniques = [...table.uniques, ...(table.primaryKey === null ? [] : [table.primaryKey])];
    for (const columns of uniques) {
      const rows = drafts.get(table.name) ?? [];
      const seen = new Set<string>();
      const kept = rows.filter((row) => {
        const values = fullDraftValues(row, columns);
        if (values === null) return true;
        const text = values.join('\u0000');
        if (seen.has(text)) return false;
        seen.add(text);
        return true;
      });
      if (kept.length === rows.length) continue;
      dropped = true;
      drafts.set(table.name, kept);
    }
  }
  return dropped;
}
