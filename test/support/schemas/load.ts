import { escapeIdentifier, escapeLiteral, type Pool } from 'pg';
import { type ForeignKeyFacts, keyOf, type SchemaFacts, type TableFacts } from './facts.ts';
import { quoteList, quoteTable, runScript } from './script.ts';

/**
 * Builds the application's empty schema in an empty database: types, sequences, tables, partitions,
 * inheritance, keys, indexes and foreign keys. One message; needs the right to create schemas.
 */
export async function loadSchema(pool: Pool, facts: SchemaFacts): Promise<void> {
  const tables = parentsFirst(facts.tables);
  const [version] = await runScript(pool, ['show server_version_num']);
  const nullsNotDistinct = Number(version?.rows[0]?.[0]) >= 150_000;
  await runScript(pool, [
    ...createTypes(facts),
    ...createSequences(tables),
    ...tables.flatMap(createTable),
    ...tables.flatMap((table) => createKeys(table, facts)),
    ...tables.flatMap((table) => createIndexes(table, { nullsNotDistinct })),
    ...facts.foreignKeys.map(createForeignKey),
  ]);
}

function createTypes({ tables, enums, rangeTypes = [] }: SchemaFacts): string[] {
  const schemas = new Set([...tables, ...enums, ...rangeTypes].map(({ schema }) => schema));
  return [
    ...[...schemas].map((schema) => `create schema if not exists ${escapeIdentifier(schema)}`),
    ...enums.map(
      ({ schema, name, values }) =>
        `create type ${quoteTable(schema, name)} as enum (${values.map((value) => escapeLiteral(value)).join(', ')})`,
    ),
    ...rangeTypes.map(
      ({ schema, name, subtype }) =>
        `create type ${quoteTable(schema, name)} as range (subtype = ${subtype})`,
    ),
  ];
}

/** The sequences that defaults name; no column owns them. */
function createSequences(tables: readonly TableFacts[]): string[] {
  const names = tables.flatMap(({ columns }) =>
    columns.flatMap(
      (column) => /^nextval\('(.+)'::regclass\)$/.exec(column.default ?? '')?.[1] ?? [],
    ),
  );
  return [...new Set(names)].map((name) => `create sequence ${name}`);
}

function parentsFirst(tables: readonly TableFacts[]): TableFacts[] {
  const byKey = new Map(tables.map((table) => [keyOf(table), table]));
  const ordered = new Set<TableFacts>();
  const visit = (table: TableFacts) => {
    for (const parent of parentsOf(table)) {
      const facts = byKey.get(keyOf(parent));
      if (facts !== undefined) visit(facts);
    }
    ordered.add(table);
  };
  for (const table of tables) visit(table);
  return [...ordered];
}

function parentsOf(table: TableFacts) {
  return table.partitionOf === undefined ? (table.inherits ?? []) : [table.partitionOf];
}

function createTable(table: TableFacts): string[] {
  const name = quoteTable(table.schema, table.name);
  const columns = table.columns.map((column) =>
    [
      escapeIdentifier(column.name),
      column.type,
      column.generated === undefined ? '' : `generated always as (${column.generated}) stored`,
      column.identity === undefined ? '' : `generated ${column.identity} as identity`,
      column.default === undefined || column.generated !== undefined
        ? ''
        : `default ${column.default}`,
      column.notNull ? 'not null' : '',
    ].join(' '),
  );
  const parents = (table.inherits ?? []).map((parent) => quoteTable(parent.schema, parent.table));
  const inherits = parents.length === 0 ? '' : ` inherits (${parents.join(', ')})`;
  const partitioned = table.partitionKey === undefined ? '' : ` partition by ${table.partitionKey}`;
  const created = `create table ${name} (${columns.join(', ')})${inherits}${partitioned}`;
  if (table.partitionOf === undefined) return [created];
  const parent = quoteTable(table.partitionOf.schema, table.partitionOf.table);
  return [created, `alter table ${parent} attach partition ${name} ${table.bound ?? 'default'}`];
}

function createKeys(table: TableFacts, facts: SchemaFacts): string[] {
  const name = quoteTable(table.schema, table.name);
  const parent = facts.tables.find(
    (other) => table.partitionOf !== undefined && keyOf(other) === keyOf(table.partitionOf),
  );
  const keys = [
    ...(table.primaryKey.length > 0 && !parent?.primaryKey.length
      ? [`primary key (${quoteList(table.primaryKey)})`]
      : []),
    // A partition's copy of its parent's constraint comes with the parent's.
    ...table.uniques
      .filter((unique) => !parent?.uniques.some((other) => other.join() === unique.join()))
      .map((unique) => `unique (${quoteList(unique)})`),
  ];
  if (keys.length === 0) return [];
  return [`alter table ${name} ${keys.map((key) => `add ${key}`).join(', ')}`];
}

/** Of the methods, those whose operator class goes without saying. */
function createIndexes(
  table: TableFacts,
  server: { readonly nullsNotDistinct: boolean },
): string[] {
  const name = quoteTable(table.schema, table.name);
  return table.indexes
    .filter(
      (index) =>
        (index.method === undefined || index.method === 'hash') &&
        index.whereAbridged === undefined &&
        !index.columns.includes('(abridged)'),
    )
    .map((index) => {
      const columns = index.columns.map((column) =>
        column.startsWith('(') ? column : escapeIdentifier(column),
      );
      return [
        `create ${index.unique ? 'unique ' : ''}index on ${name} using ${index.method ?? 'btree'}`,
        `(${columns.join(', ')})`,
        index.nullsNotDistinct && server.nullsNotDistinct ? 'nulls not distinct' : '',
        index.where === undefined ? '' : `where ${index.where}`,
      ].join(' ');
    });
}

function createForeignKey({ name, from, to, ...facts }: ForeignKeyFacts): string {
  return [
    `alter table ${quoteTable(from.schema, from.table)} add constraint ${escapeIdentifier(name)}`,
    `foreign key (${quoteList(from.columns)})`,
    `references ${quoteTable(to.schema, to.table)} (${quoteList(to.columns)})`,
    `on delete ${facts.onDelete} on update ${facts.onUpdate}`,
    facts.deferrable ? 'deferrable' : '',
    facts.initiallyDeferred ? 'initially deferred' : '',
  ].join(' ');
}
