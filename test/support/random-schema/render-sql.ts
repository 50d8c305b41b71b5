import {
  type Column,
  type Data,
  type ForeignKey,
  foreignKeysOf,
  qualified,
  type RandomCase,
  rowsOf,
  type Table,
} from './model.ts';

/** Everything of a failing case, to be pasted into psql; it replaces the schema `public`. */
export function renderCase(found: RandomCase): string {
  const { settings, batching, tenant } = found;
  const config = {
    tenant: { table: 'public.tenants', key: 'id', columns: settings.tenantColumns },
    tables: settings.tables,
    foreignKeys: settings.foreignKeys,
    batch: batching,
  };
  const comment = JSON.stringify(config, null, 2).replaceAll(/^/gm, '-- ');
  return [
    `-- Purge tenant ${tenant} with this configuration:`,
    comment,
    'begin;',
    'drop schema public cascade; create schema public;',
    renderApplication(found),
    'commit;',
  ].join('\n');
}

/**
 * Tables, rows, then foreign keys, which are so checked over all rows whatever their order. What goes
 * by batches lies four rows to a block: a batch is of whole blocks, and a table of one has one.
 */
export function renderApplication({ model, data, batching }: RandomCase): string {
  const isSpread = batching.smallPurgeRows === 0;
  return [
    ...model.tables.map((table) => renderTable(table, isSpread ? [PADDING] : [])),
    ...model.tables.flatMap((table) => renderRows(table, data)),
    ...(isSpread ? model.tables.map(dropPadding) : []),
    ...foreignKeysOf(model).map(renderForeignKey),
  ].join('\n');
}

/** Too short to be compressed; the rows keep its place when it is dropped. */
const PADDING = "padding char(1900) not null default ''";
const dropPadding = ({ name }: Table): string =>
  `alter table ${qualified(name)} drop column padding;`;

export const literal = (value: string | null): string =>
  value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;

function renderTable(table: Table, before: readonly string[]): string {
  const lines = [
    ...before,
    ...table.columns.map(renderColumn),
    ...(table.primaryKey === null ? [] : [`primary key (${table.primaryKey.join(', ')})`]),
    ...table.uniques.map((columns) => `unique (${columns.join(', ')})`),
  ];
  return `create table ${qualified(table.name)} (\n  ${lines.join(',\n  ')}\n);`;
}

const renderColumn = ({ name, type, notNull, default: fallback }: Column): string =>
  `${name} ${type}${notNull ? ' not null' : ''}${fallback === null ? '' : ` default ${literal(fallback)}`}`;

function renderRows(table: Table, data: Data): string[] {
  const rows = rowsOf(data, table.name);
  if (rows.length === 0) return [];
  const names = table.columns.map(({ name }) => name);
  const tuples = rows.map(
    (row) => `  (${names.map((name) => literal(row[name] ?? null)).join(', ')})`,
  );
  return [
    `insert into ${qualified(table.name)} (${names.join(', ')}) values\n${tuples.join(',\n')};`,
  ];
}

function renderForeignKey(key: ForeignKey): string {
  const list = key.setColumns === null ? '' : ` (${key.setColumns.join(', ')})`;
  return [
    `alter table ${qualified(key.child)} add constraint ${key.name}`,
    `foreign key (${key.columns.join(', ')})`,
    `references ${qualified(key.parent)} (${key.referencedColumns.join(', ')})`,
    ...(key.matchFull ? ['match full'] : []),
    `on delete ${key.onDelete.toLowerCase()}${list}`,
    ...(key.checked === 'at-once' ? [] : ['deferrable']),
    ...(key.checked === 'deferred' ? ['initially deferred'] : []),
  ]
    .join(' ')
    .concat(';');
}
