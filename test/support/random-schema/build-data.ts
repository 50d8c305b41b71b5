import {
  type Column,
  type Data,
  type ForeignKey,
  foreignKeysOf,
  fullValues,
  type KeyType,
  type Model,
  type Table,
  TENANT_TABLE,
} from './model.ts';
import type { Recipe } from './recipe.ts';

/** A row in the making; `owner` is whom it was made for, which the rules may see otherwise. */
interface Draft {
  readonly table: Table;
  readonly owner: string | null;
  readonly seed: number;
  /** Of the row in its table. */
  readonly number: number;
  readonly values: Record<string, string | null | undefined>;
}

type Drafts = Map<string, Draft[]>;

const ROWS_PER_TENANT_MAX = 6;
/** Passes in which references are chosen (anew), then those that may only clear or drop. */
const CHOOSING_PASSES = 4;
const NULL_SHARE = 0.2;

/** Pure: the same rows for the same recipe; every constraint of the model holds. */
export function buildData(model: Model, recipe: Recipe): Data {
  const tenants = Array.from({ length: recipe.tenantCount }, (_, index) =>
    tenantKey(recipe.tenantKeyType, index + 1),
  );
  const drafts = draftRows(model, recipe, tenants);
  const keys = foreignKeysOf(model);
  for (let pass = 1; ; pass += 1) {
    const refer = referAll(drafts, keys, { pass, strayShare: recipe.straysPerMille / 1_000 });
    const dropped = dropDuplicates(model, drafts);
    if (!refer && !dropped) break;
  }
  return new Map(
    [...drafts].map(([name, rows]) => [
      name,
      rows.map(({ table, values }) => finish(table, values)),
    ]),
  );
}

export function tenantKey(type: KeyType, number: number): string {
  switch (type) {
    case 'integer':
      return String(number);
    case 'uuid':
      return `00000000-0000-4000-8000-00000000000${number}`;
    case 'text':
      return `tenant-${number}`;
    default:
      return type satisfies never;
  }
}

function draftRows(model: Model, recipe: Recipe, tenants: readonly string[]): Drafts {
  const drafts: Drafts = new Map(model.tables.map((table) => [table.name, []]));
  const counts = new Map<string, number>();
  const add = (table: Table, owner: string | null, seed: number): void => {
    const made = counts.get(`${table.name} ${owner}`) ?? 0;
    const isTenant = table.name === TENANT_TABLE;
    if (!isTenant && made >= ROWS_PER_TENANT_MAX) return;
    const number = (counts.get(table.name) ?? 0) + 1;
    const values = draftValues(table, { owner, seed, number, numberOfOwner: made + 1, tenants });
    if (values === null) return;
    counts.set(`${table.name} ${owner}`, made + 1).set(table.name, number);
    drafts.get(table.name)?.push({ table, owner, seed, number, values });
  };
  const [tenantTable, ...others] = model.tables;
  if (tenantTable !== undefined) for (const tenant of tenants) add(tenantTable, tenant, 0);
  for (let count = 0; count < recipe.plainRows; count += 1) {
    for (const table of others) for (const tenant of tenants) add(table, tenant, 0);
  }
  for (const [table, tenant, seed] of recipe.rows) {
    const chosen = others[table % others.length];
    if (chosen !== undefined) add(chosen, tenants[tenant % (tenants.length + 1)] ?? null, seed);
  }
  return drafts;
}

interface DraftOptions {
  readonly owner: string | null;
  readonly seed: number;
  /** Of the row in its table. */
  readonly number: number;
  /** Of the row among those of its owner in its table. */
  readonly numberOfOwner: number;
  readonly tenants: readonly string[];
}

/** Everything but references; null where nobody cannot have a row. */
function draftValues(table: Table, options: DraftOptions): Draft['values'] | null {
  const values: Draft['values'] = {};
  for (const column of table.columns) {
    const value = draftValue(table, column, options);
    if (value === null && column.notNull) return null;
    values[column.name] = value;
  }
  return values;
}

function draftValue(
  table: Table,
  column: Column,
  { owner, seed, number, numberOfOwner, tenants }: DraftOptions,
): string | null | undefined {
  const isLeftOut = !column.notNull && chance(seed, column.name) > 1 - NULL_SHARE;
  switch (column.role) {
    case 'label':
      return `${table.name} #${number}`;
    case 'sequence':
      return sequenceValue(table, column, { number, numberOfOwner });
    case 'tenant':
      if (owner === null && column.notNull && !hasKeyOn(table, column.name)) {
        return tenantKey(column.type, 9); // of a tenant that never was, or is gone
      }
      return isLeftOut ? null : owner;
    case 'tenant-slug':
      return isLeftOut || owner === null ? null : `slug-${tenants.indexOf(owner) + 1}`;
    case 'other-tenant': {
      const pick = Math.floor(chance(seed, column.name) * 10);
      return isLeftOut ? null : pick === 9 ? (tenants[0] ?? null) : owner;
    }
    case 'reference':
      return undefined;
    default:
      return column.role satisfies never;
  }
}

/** Two tenants have the same numbers where the tenant's own key keeps them apart. */
function sequenceValue(
  { primaryKey }: Table,
  { name }: Column,
  { number, numberOfOwner }: { readonly number: number; readonly numberOfOwner: number },
): string {
  if (name === 'code') return String(1_000 + number);
  if (primaryKey?.includes('tenant_id') === true) return String(numberOfOwner);
  if (primaryKey?.includes('no') !== true) return String(number);
  return String(name === 'id' ? Math.ceil(number / 2) : number % 2);
}

const hasKeyOn = (table: Table, column: string): boolean =>
  table.name === TENANT_TABLE ||
  table.foreignKeys.some(
    ({ columns, parent }) => parent === TENANT_TABLE && columns.includes(column),
  );

/** True where a value changed or a row went: then there is something to look at again. */
function referAll(
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
function dropDuplicates(model: Model, drafts: Drafts): boolean {
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

const finish = (table: Table, values: Draft['values']): Record<string, string | null> =>
  Object.fromEntries(table.columns.map(({ name }) => [name, values[name] ?? null]));

/** A number from 0 to 1 that depends on both; 0 for seed 0. */
function chance(seed: number, about: string): number {
  if (seed === 0) return 0;
  let hash = seed ^ 0x9e3779b9;
  for (let index = 0; index < about.length; index += 1) {
    hash = Math.imul(hash ^ about.charCodeAt(index), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
}
