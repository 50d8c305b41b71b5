import type pg from 'pg';
import type {
  Catalogue,
  CatalogueCheck,
  CatalogueColumn,
  CatalogueTable,
  CatalogueTrigger,
} from '../../planner/catalogue.ts';
import { tableName } from '../table-name.ts';
import { INDEXES, type IndexRow, toIndexes } from './catalogue-indexes.ts';
import { FOREIGN_KEYS, type ForeignKeyRow, toForeignKeys } from './catalogue-keys.ts';
import { type Leaf, leavesByRoot, PARTITIONS, type PartitionRow } from './catalogue-partitions.ts';
import * as queries from './catalogue-queries.ts';
import { groupBy } from './group-by.ts';

/**
 * Reads what the planner needs of the whole database, in eight queries whatever the number of tables.
 * Writes nothing and leaves no session state, so any transaction and any pooler will do; only inside
 * a REPEATABLE READ transaction do the eight see one and the same moment. Schemas of PostgreSQL, of
 * sessions' temporary tables and of the ledger are left out. Works on PostgreSQL 14 to 18.
 */
export async function readCatalogue(db: pg.Pool | pg.ClientBase): Promise<Catalogue> {
  const tables = await fetchRows<queries.TableRow>(db, queries.TABLES);
  const columns = byTable(await fetchRows<queries.ColumnRow>(db, queries.COLUMNS));
  const indexes = byTable(await fetchRows<IndexRow>(db, INDEXES));
  const checks = byTable(await fetchRows<queries.CheckRow>(db, queries.CHECKS));
  const triggers = byTable(await fetchRows<queries.TriggerRow>(db, queries.TRIGGERS));
  const leaves = leavesByRoot(await fetchRows<PartitionRow>(db, PARTITIONS));
  const views = await fetchRows<queries.ViewRow>(db, queries.VIEWS);
  const foreignKeys = await fetchRows<ForeignKeyRow>(db, FOREIGN_KEYS);
  const readers = readersByTable(views);
  const role = tables[0]?.role;
  return {
    tables: tables.map((row) =>
      toTable(row, {
        columns: columns.get(row.oid) ?? [],
        indexes: indexes.get(row.oid) ?? [],
        checks: checks.get(row.oid) ?? [],
        triggers: triggers.get(row.oid) ?? [],
        leaves: leaves.get(row.oid) ?? [],
        materializedViews: readers.get(row.oid) ?? [],
      }),
    ),
    foreignKeys: toForeignKeys(foreignKeys, leaves),
    views: views.map((view) => tableName(view.schema, view.relation)),
    ...(role === undefined ? {} : { role }),
  };
}

async function fetchRows<Row extends pg.QueryResultRow>(
  db: pg.Pool | pg.ClientBase,
  sql: string,
): Promise<Row[]> {
  // The two kinds of connection overload `query` differently; this is the part they share.
  const connection: { query(text: string): Promise<pg.QueryResult<Row>> } = db;
  const { rows } = await connection.query(sql);
  return rows;
}

const byTable = <Row extends { readonly table_oid: string }>(
  rows: readonly Row[],
): Map<string, Row[]> => groupBy(rows, (row) => row.table_oid);

/** Names of the materialized views over each table, by its oid. */
function readersByTable(views: readonly queries.ViewRow[]): Map<string, string[]> {
  const readers = new Map<string, string[]>();
  for (const view of views) {
    if (!view.materialized) continue;
    for (const oid of view.table_oids) {
      const names = readers.get(oid) ?? [];
      readers.set(oid, [...names, tableName(view.schema, view.relation)]);
    }
  }
  return readers;
}

interface TableParts {
  readonly columns: readonly queries.ColumnRow[];
  readonly indexes: readonly IndexRow[];
  readonly checks: readonly queries.CheckRow[];
  readonly triggers: readonly queries.TriggerRow[];
  readonly leaves: readonly Leaf[];
  readonly materializedViews: readonly string[];
}

function toTable(row: queries.TableRow, parts: TableParts): CatalogueTable {
  return {
    name: tableName(row.schema, row.relation),
    schema: row.schema,
    relation: row.relation,
    kind: row.kind,
    columns: parts.columns.map(toColumn),
    primaryKey: parts.indexes.find(isPrimaryKey)?.columns ?? null,
    indexes: toIndexes(parts.indexes, parts.leaves),
    checks: parts.checks.map(toCheck),
    ...(row.strategy === null
      ? {}
      : {
          partitions: {
            strategy: row.strategy,
            columns: row.partition_columns,
            leaves: parts.leaves.map(({ oid: _oid, lineage: _lineage, ...leaf }) => leaf),
          },
        }),
    unlogged: row.unlogged,
    materializedViews: parts.materializedViews,
    publications: row.publications,
    triggers: parts.triggers.map(toTrigger),
    rules: row.rules,
    ...(row.update_rules.length === 0 ? {} : { updateRules: row.update_rules }),
    rowSecurityApplies: row.row_security_applies,
    missingPrivileges: row.missing_privileges,
    replicaIdentityOk: row.replica_identity_ok,
    estimatedRows: row.estimated_rows,
  };
}

/** A primary key that only a leaf has says nothing of the whole table. */
const isPrimaryKey = (index: IndexRow): boolean =>
  index.is_primary && index.relation_oid === index.table_oid;

const toColumn = (row: queries.ColumnRow): CatalogueColumn => ({
  name: row.name,
  type: row.type,
  notNull: row.not_null,
  ...(row.generated ? { generated: true } : {}),
});

const toCheck = ({ name, columns, definition }: queries.CheckRow): CatalogueCheck => ({
  name,
  columns,
  definition,
});

/** Bits of `pg_trigger.tgtype`. */
const TRIGGER = { row: 1, before: 2, insert: 4, delete: 8, update: 16, truncate: 32, instead: 64 };

function toTrigger({ name, type }: queries.TriggerRow): CatalogueTrigger {
  const has = (bit: number): boolean => (type & bit) !== 0;
  const events = (['insert', 'update', 'delete', 'truncate'] as const).filter((event) =>
    has(TRIGGER[event]),
  );
  const timing = has(TRIGGER.instead) ? 'instead' : has(TRIGGER.before) ? 'before' : 'after';
  return { name, timing, forEachRow: has(TRIGGER.row), events };
}
