import type pg from 'pg';
import { quoteIdentifier } from '../domain/identifier.ts';
import type {
  Catalogue,
  CatalogueColumn,
  CatalogueForeignKey,
  CatalogueIndex,
  CatalogueTable,
  CatalogueTrigger,
  DeleteAction,
  UnsupportedKey,
} from '../planner/catalogue.ts';
import * as queries from './catalogue-queries.ts';
import { tableName } from './table-name.ts';

/**
 * Reads what the planner needs of the whole database, in five queries whatever the number of tables.
 * Writes nothing and leaves no session state, so any transaction and any pooler will do; only inside
 * a REPEATABLE READ transaction do the five see one and the same moment. Schemas of PostgreSQL, of
 * sessions' temporary tables and of the ledger are left out. Works on PostgreSQL 14 to 18.
 */
export async function readCatalogue(db: pg.Pool | pg.ClientBase): Promise<Catalogue> {
  const tables = await fetchRows<queries.TableRow>(db, queries.TABLES);
  const columns = groupByTable(await fetchRows<queries.ColumnRow>(db, queries.COLUMNS));
  const indexes = groupByTable(await fetchRows<queries.IndexRow>(db, queries.INDEXES));
  const triggers = groupByTable(await fetchRows<queries.TriggerRow>(db, queries.TRIGGERS));
  const foreignKeys = await fetchRows<queries.ForeignKeyRow>(db, queries.FOREIGN_KEYS);
  const role = tables[0]?.role;
  return {
    tables: tables.map((row) =>
      toTable(row, {
        columns: columns.get(row.oid) ?? [],
        indexes: indexes.get(row.oid) ?? [],
        triggers: triggers.get(row.oid) ?? [],
      }),
    ),
    foreignKeys: foreignKeys.map(toForeignKey),
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

function groupByTable<Row extends { readonly table_oid: string }>(
  rows: readonly Row[],
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.table_oid);
    if (group === undefined) groups.set(row.table_oid, [row]);
    else group.push(row);
  }
  return groups;
}

interface TableParts {
  readonly columns: readonly queries.ColumnRow[];
  readonly indexes: readonly queries.IndexRow[];
  readonly triggers: readonly queries.TriggerRow[];
}

function toTable(row: queries.TableRow, parts: TableParts): CatalogueTable {
  return {
    name: tableName(row.schema, row.relation),
    schema: row.schema,
    relation: row.relation,
    kind: row.kind,
    columns: parts.columns.map(toColumn),
    primaryKey: parts.indexes.find((index) => index.is_primary)?.columns ?? null,
    indexes: parts.indexes.map(toIndex),
    triggers: parts.triggers.map(toTrigger),
    rules: row.rules,
    rowSecurityApplies: row.row_security_applies,
    missingPrivileges: row.missing_privileges,
    replicaIdentityOk: row.replica_identity_ok,
    estimatedRows: row.estimated_rows,
  };
}

const toColumn = (row: queries.ColumnRow): CatalogueColumn => ({
  name: row.name,
  type: row.type,
  notNull: row.not_null,
  ...(row.generated ? { generated: true } : {}),
});

const toIndex = (row: queries.IndexRow): CatalogueIndex => ({
  name: row.name,
  columns: row.columns,
  unique: row.is_unique,
  usable: row.usable,
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

const DELETE_ACTIONS: Readonly<Record<string, DeleteAction>> = {
  a: 'NO ACTION',
  r: 'RESTRICT',
  c: 'CASCADE',
  n: 'SET NULL',
  d: 'SET DEFAULT',
};

function toForeignKey(row: queries.ForeignKeyRow): CatalogueForeignKey {
  const unsupported = unsupportedKind(row);
  const carrier = tableName(row.carrier_schema, row.carrier_relation);
  const onDelete = DELETE_ACTIONS[row.delete_action];
  if (onDelete === undefined) {
    throw new Error(`${carrier}.${row.name}: unknown ON DELETE action ${row.delete_action}`);
  }
  return {
    name: `${carrier}.${quoteIdentifier(row.name)}`,
    child: tableName(row.child_schema, row.child_relation),
    columns: row.columns,
    parent: tableName(row.parent_schema, row.parent_relation),
    referencedColumns: row.referenced_columns,
    onDelete,
    deferrable: row.deferrable,
    validated: row.validated,
    ...(row.match_full ? { matchFull: true } : {}),
    ...(unsupported === null ? {} : { unsupported }),
  };
}

function unsupportedKind(row: queries.ForeignKeyRow): UnsupportedKey | null {
  if (row.on_partition) return 'partition';
  if (row.period) return 'period';
  return row.enforced ? null : 'not-enforced';
}
