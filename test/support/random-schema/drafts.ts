import { type Column, type KeyType, type Model, type Table, TENANT_TABLE } from './model.ts';
import type { Recipe } from './recipe.ts';

/** A row in the making; `owner` is whom it was made for, which the rules may see otherwise. */
export interface Draft {
  readonly table: Table;
  readonly owner: string | null;
  readonly seed: number;
  /** Of the row in its table. */
  readonly number: number;
  readonly values: Record<string, string | null | undefined>;
}

export type Drafts = Map<string, Draft[]>;

const ROWS_PER_TENANT_MAX = 6;
/** How often a value that may be missing is. */
export const NULL_SHARE = 0.2;

/** Rows for tenants and for nobody, whose references are still undecided. Pure. */
export function draftRows(model: Model, recipe: Recipe): Drafts {
  const tenants = Array.from({ length: recipe.tenantCount }, (_, index) =>
    tenantKey(recipe.tenantKeyType, index + 1),
  );
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

/** What is still undecided is NULL. */
export const finish = (table: Table, values: Draft['values']): Record<string, string | null> =>
  Object.fromEntries(table.columns.map(({ name }) => [name, values[name] ?? null]));

/** A number from 0 to 1 that depends on both; 0 for seed 0. */
export function chance(seed: number, about: string): number {
  if (seed === 0) return 0;
  let hash = seed ^ 0x9e3779b9;
  for (let index = 0; index < about.length; index += 1) {
    hash = Math.imul(hash ^ about.charCodeAt(index), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
}
