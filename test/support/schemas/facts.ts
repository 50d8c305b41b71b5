/** Schemas of real applications, as facts: what their migrations leave in the catalogue. */
import { readFileSync } from 'node:fs';

export const applications = [
  'concourse',
  'documenso',
  'formbricks',
  'hatchet',
  'kratos',
  'lago',
  'langfuse',
  'maybe',
  'papermark',
  'thingsboard',
] as const;

export type Application = (typeof applications)[number];

/** Left out of the files: checks, exclusion constraints, trigger bodies, a few long defaults. */
export type SchemaFacts = {
  readonly name: string;
  readonly source_repo: string;
  readonly commit: string;
  readonly tenantRoot: TableRef & { readonly pk: readonly string[] };
  /** Names of columns that hold the tenant's key without a foreign key. */
  readonly tenantColumns?: readonly string[];
  readonly tables: readonly TableFacts[];
  readonly foreignKeys: readonly ForeignKeyFacts[];
  readonly enums: readonly {
    readonly schema: string;
    readonly name: string;
    readonly values: readonly string[];
  }[];
  readonly rangeTypes?: readonly {
    readonly schema: string;
    readonly name: string;
    readonly subtype: string;
  }[];
};

export type TableRef = { readonly schema: string; readonly table: string };

export type TableFacts = {
  readonly schema: string;
  readonly name: string;
  /** Ordinary, partitioned, or a partition. */
  readonly kind: 'r' | 'p' | 'partition-of';
  readonly columns: readonly ColumnFacts[];
  readonly primaryKey: readonly string[];
  readonly uniques: readonly (readonly string[])[];
  readonly indexes: readonly IndexFacts[];
  readonly inherits?: readonly TableRef[];
  readonly partitionKey?: string;
  readonly partitionOf?: TableRef;
  readonly bound?: string;
};

export type ColumnFacts = {
  readonly name: string;
  /** As `format_type` writes it with only `pg_catalog` on the search path. */
  readonly type: string;
  readonly notNull: boolean;
  readonly default?: string;
  readonly generated?: string;
  readonly identity?: 'always' | 'by default';
};

export type IndexFacts = {
  /** Column names; an expression stands in parentheses. */
  readonly columns: readonly string[];
  readonly unique: boolean;
  readonly where?: string;
  readonly expression?: boolean;
  readonly nullsNotDistinct?: boolean;
  /** Left out for btree. */
  readonly method?: string;
  readonly whereAbridged?: boolean;
};

export type OnDelete = 'NO ACTION' | 'RESTRICT' | 'CASCADE' | 'SET NULL' | 'SET DEFAULT';

export type ForeignKeyFacts = {
  readonly name: string;
  readonly from: TableRef & { readonly columns: readonly string[] };
  readonly to: TableRef & { readonly columns: readonly string[] };
  readonly onDelete: OnDelete;
  readonly onUpdate: OnDelete;
  readonly deferrable: boolean;
  readonly initiallyDeferred: boolean;
  readonly match: 'SIMPLE';
};

const folder = new URL('../../fixtures/schemas/', import.meta.url);

export function readFacts(application: Application): SchemaFacts {
  return JSON.parse(readFileSync(new URL(`${application}.json`, folder), 'utf8')) as SchemaFacts;
}

/** `schema.table`: how these files name a table. */
export function keyOf(table: TableRef | TableFacts): string {
  return `${table.schema}.${'table' in table ? table.table : table.name}`;
}
