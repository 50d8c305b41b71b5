/** A random application: its tables, their rows, and what an operator wrote about them. */
export interface RandomCase {
  readonly model: Model;
  readonly data: Data;
  readonly settings: Settings;
  /** Key of the tenant to purge. */
  readonly tenant: string;
  readonly batching: Batching;
}

/** `public.tenants` is the first of the tables. */
export interface Model {
  readonly tenantKeyType: KeyType;
  readonly tables: readonly Table[];
}

export type KeyType = 'integer' | 'uuid' | 'text';

export interface Table {
  /** Without its schema, which is `public`. */
  readonly name: string;
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[] | null;
  readonly uniques: readonly (readonly string[])[];
  readonly foreignKeys: readonly ForeignKey[];
}

export interface Column {
  readonly name: string;
  readonly type: KeyType;
  readonly notNull: boolean;
  readonly default: string | null;
  /**
   * What the data holds there: a number of the row's own, the tenant it was made for, or whatever a
   * foreign key wants.
   */
  readonly role: 'sequence' | 'label' | 'tenant' | 'tenant-slug' | 'other-tenant' | 'reference';
}

export interface ForeignKey {
  readonly name: string;
  readonly child: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly referencedColumns: readonly string[];
  readonly onDelete: DeleteAction;
  /** Column list of SET NULL (PostgreSQL 15 and later); null: all of its columns. */
  readonly setColumns: readonly string[] | null;
  readonly matchFull: boolean;
  readonly checked: 'at-once' | 'deferrable' | 'deferred';
}

export const DELETE_ACTIONS = [
  'NO ACTION',
  'RESTRICT',
  'CASCADE',
  'SET NULL',
  'SET DEFAULT',
] as const;
export type DeleteAction = (typeof DELETE_ACTIONS)[number];

/** Rows by table name; two of a table without primary key may be equal. */
export type Data = ReadonlyMap<string, readonly Row[]>;

/** Values by column, as PostgreSQL prints them. */
export type Row = Readonly<Record<string, string | null>>;

/** The part of the configuration that a plan depends on, as an operator writes it. */
export interface Settings {
  /** `tenant.columns` */
  readonly tenantColumns: readonly string[];
  /** By `public.table`. */
  readonly tables: Readonly<Record<string, { readonly ownedBy: readonly string[] }>>;
  /** By `public.table.constraint`. */
  readonly foreignKeys: Readonly<Record<string, KeyRule>>;
}

export type KeyRule = 'own' | 'set-null' | 'delete' | 'refuse';

/** One transaction for all of a tenant, or batches of at most `maxRows`. */
export interface Batching {
  readonly smallPurgeRows: number;
  readonly maxRows: number;
}

export const TENANT_TABLE = 'tenants';
export const TENANT_KEY = 'id';

export const qualified = (table: string): string => `public.${table}`;
export const ruleName = (key: ForeignKey): string => `public.${key.child}.${key.name}`;

/** @throws Error where the model has no such table */
export function tableOf(model: Model, name: string): Table {
  const table = model.tables.find((one) => one.name === name);
  if (table === undefined) throw new Error(`no table ${name}`);
  return table;
}

export const foreignKeysOf = (model: Model): ForeignKey[] =>
  model.tables.flatMap((table) => table.foreignKeys);

export const rowsOf = (data: Data, table: string): readonly Row[] => data.get(table) ?? [];

/** True where every one of the columns must have a value. */
export const isMandatory = (table: Table, columns: readonly string[]): boolean =>
  columns.every((name) => table.columns.find((column) => column.name === name)?.notNull === true);

/** The values of the columns, or null where one of them is missing: then nothing is referred to. */
export function fullValues(row: Row, columns: readonly string[]): readonly string[] | null {
  const values: string[] = [];
  for (const column of columns) {
    const value = row[column];
    if (value === undefined || value === null) return null;
    values.push(value);
  }
  return values;
}
