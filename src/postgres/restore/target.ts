import { quoteIdentifier } from '../../domain/identifier.ts';
import type { TableName } from '../../domain/ids.ts';
import { arrayLiteral } from '../rows/row-predicate.ts';
import { tableName } from '../table-name.ts';
import type { RestoreSession } from './restore-session.ts';
import * as queries from './target-queries.ts';

/** A table that rows go back into, as it is now. */
export interface TargetTable {
  readonly name: TableName;
  readonly partitioned: boolean;
  readonly columns: readonly TargetColumn[];
  /** Empty where there is none. */
  readonly primaryKey: readonly string[];
  readonly uniques: readonly UniqueRule[];
  readonly checks: readonly {
    readonly name: string;
    readonly sql: string;
    readonly columns: readonly string[];
  }[];
  /** The application's enabled triggers on INSERT or UPDATE, its partitions' included. */
  readonly triggers: readonly TargetTrigger[];
  /** Row security applies to the connected role. */
  readonly rowSecurity: boolean;
  /** Of SELECT, INSERT, UPDATE and the schema's USAGE. */
  readonly missingPrivileges: readonly string[];
  /** `reltuples` of all leaves; -1 where unknown. */
  readonly estimatedRows: number;
  readonly sequences: readonly TargetSequence[];
  /** Of a partitioned table: what each leaf takes, as SQL over its columns; null for an ordinary one. */
  readonly leafConditions: readonly string[] | null;
  /** Columns that decide on the partition; null where an expression does. */
  readonly partitionColumns: readonly string[] | null;
}

/** Owned by a column, or called by its default. */
export interface TargetSequence {
  readonly sequence: string;
  readonly column: string;
  /** The role may see where it stands. */
  readonly readable: boolean;
}

export interface TargetColumn {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  readonly generated: boolean;
  /** How a generated column is computed; else null. */
  readonly expression: string | null;
  /** The columns that this reads. */
  readonly reads: readonly string[];
  /** What rows have in it that were there when it was added, as text; null: NULL, or nobody knows. */
  readonly fill: string | null;
  readonly identity: boolean;
}

/** A unique index or an exclusion constraint. */
export interface UniqueRule {
  readonly name: string;
  readonly primary: boolean;
  readonly exclusion: boolean;
  /** SQL over the table's columns, the operator that two rows may not both fulfil, and its collation. */
  readonly elements: readonly {
    readonly sql: string;
    readonly operator: string;
    readonly collation: string | null;
  }[];
  readonly predicate: string | null;
  readonly nullsEqual: boolean;
  /** Null where an expression or a predicate may read any column. */
  readonly columns: readonly string[] | null;
}

export interface TargetTrigger {
  /** `schema.table.trigger`. */
  readonly name: string;
  readonly relation: TableName;
  readonly trigger: string;
  readonly onInsert: boolean;
  readonly onUpdate: boolean;
  readonly always: boolean;
}

export interface TargetKey {
  /** `schema.table.constraint`. */
  readonly name: string;
  readonly child: TableName;
  /** The partition that alone carries the key; else null. */
  readonly childPartition: TableName | null;
  readonly columns: readonly string[];
  readonly parent: TableName;
  /** The parent, or the partition of it that the key refers to. */
  readonly parentRelation: TableName;
  readonly referenced: readonly string[];
  /** parent OPERATOR child, one for each column. */
  readonly operators: readonly string[];
  readonly matchFull: boolean;
  /** PERIOD: the last column matches by overlapping, and one look cannot tell. */
  readonly period: boolean;
}

export interface Target {
  /** By the archived name; those that are gone are missing. */
  readonly tables: ReadonlyMap<TableName, TargetTable>;
  readonly keys: readonly TargetKey[];
  readonly mayMakeTemporary: boolean;
}

/** Reads what a restore into these tables meets. Only looks. */
export async function readTarget(
  session: RestoreSession,
  names: readonly TableName[],
): Promise<Target> {
  const ask = async <Row extends object>(sql: string): Promise<Row[]> =>
    session.ask<Row>(sql.replace('$1', () => arrayLiteral(names)));
  const tables = await ask<queries.TableRow>(queries.TABLES);
  const nameOf = new Map(tables.map((row) => [row.oid, row.asked as TableName]));
  const columns = groupByTable(await ask<queries.ColumnRow>(queries.COLUMNS));
  const uniques = groupByTable(await ask<queries.UniqueRow>(queries.UNIQUES));
  const checks = groupByTable(await ask<queries.CheckRow>(queries.CHECKS));
  const triggers = groupByTable(await ask<queries.TriggerRow>(queries.TRIGGERS));
  const sequences = groupByTable(await ask<queries.SequenceRow>(queries.SEQUENCES));
  const leaves = groupByTable(await ask<queries.LeafRow>(queries.LEAVES));
  const dividing = groupByTable(await ask<queries.DividingRow>(queries.DIVIDING));
  const keys = await ask<queries.KeyRow>(queries.KEYS);
  const [database] = await session.ask<{ temporary: boolean }>(
    "select has_database_privilege(current_database(), 'TEMP') as temporary",
  );
  return {
    tables: new Map(
      tables.map((row) => [
        row.asked as TableName,
        {
          name: row.asked as TableName,
          partitioned: row.kind === 'p',
          columns: columns.get(row.oid) ?? [],
          primaryKey: uniques.get(row.oid)?.find((unique) => unique.primary)?.columns ?? [],
          uniques: (uniques.get(row.oid) ?? []).map(toUnique),
          checks: checks.get(row.oid) ?? [],
          triggers: (triggers.get(row.oid) ?? []).map(toTrigger),
          rowSecurity: row.row_security,
          missingPrivileges: row.missing,
          estimatedRows: row.estimated_rows,
          sequences: sequences.get(row.oid) ?? [],
          leafConditions:
            row.kind === 'p' ? (leaves.get(row.oid) ?? []).map(({ condition }) => condition) : null,
          partitionColumns: dividingColumns(dividing.get(row.oid) ?? []),
        },
      ]),
    ),
    keys: keys.flatMap((row) => toKey(row, nameOf)),
    mayMakeTemporary: database?.temporary === true,
  };
}

function groupByTable<Row extends { readonly table_oid: string }>(
  rows: readonly Row[],
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(row.table_oid, [...(groups.get(row.table_oid) ?? []), row]);
  return groups;
}

const toUnique = (row: queries.UniqueRow): UniqueRule => ({
  name: row.name,
  primary: row.primary,
  exclusion: row.exclusion,
  elements: row.elements.map((sql, at) => ({
    sql,
    operator: row.operators[at] ?? '=',
    collation: row.collations[at] ?? null,
  })),
  predicate: row.predicate,
  nullsEqual: row.nulls_equal,
  columns: row.predicate === null ? row.columns : null,
});

function dividingColumns(rows: readonly queries.DividingRow[]): readonly string[] | null {
  const columns = rows.flatMap((row) => row.columns);
  return columns.includes(null) ? null : [...new Set(columns.filter((name) => name !== null))];
}

function toTrigger(row: queries.TriggerRow): TargetTrigger {
  const relation = tableName(row.schema, row.relation);
  return {
    name: `${relation}.${quoteIdentifier(row.trigger)}`,
    relation,
    trigger: row.trigger,
    onInsert: row.on_insert,
    onUpdate: row.on_update,
    always: row.always,
  };
}

function toKey(row: queries.KeyRow, nameOf: ReadonlyMap<string, TableName>): TargetKey[] {
  const child = nameOf.get(row.child_root);
  if (child === undefined) return [];
  const relation = tableName(row.child_schema, row.child_relation);
  const parentRelation = tableName(row.parent_schema, row.parent_relation);
  return [
    {
      name: `${relation}.${quoteIdentifier(row.name)}`,
      child,
      childPartition: row.child_oid === row.child_root ? null : relation,
      columns: row.columns,
      parent: nameOf.get(row.parent_root) ?? parentRelation,
      parentRelation,
      referenced: row.referenced,
      operators: row.operators,
      matchFull: row.match_full,
      period: row.period,
    },
  ];
}
