import type { ArchiveChunk, ArchiveLayout } from '../../domain/archive.ts';
import type { TableName } from '../../domain/ids.ts';
import type { Conflict, ConflictKind, RestoreRules } from '../../domain/restore.ts';
import type { Target, TargetTrigger } from '../../postgres/restore/target.ts';
import { ruleOf, wordsOf } from './conflict-words.ts';
import type { RestoreUnit, TableRestore } from './restore-plan.ts';

export interface StaticInput {
  readonly layouts: readonly ArchiveLayout[];
  readonly chunks: readonly ArchiveChunk[];
  readonly target: Target;
  readonly tables: readonly TableRestore[];
  readonly units: readonly RestoreUnit[];
  readonly rules: RestoreRules;
}

/** What the catalogue alone tells to stand in the way. Pure. */
export function staticConflicts(input: StaticInput): Conflict[] {
  const { rules } = input;
  const make = (
    kind: ConflictKind,
    table: TableName | null,
    object: string | null,
    count: number,
    settledBy: string | null = ruleOf(kind, rules),
  ): Conflict => ({
    kind,
    table,
    object,
    count,
    rows: [],
    ...wordsOf(kind, { table, object, count }),
    settledBy,
  });
  return [
    ...goneTables(input).map(({ table, rows }) => make('TABLE_GONE', table, null, rows)),
    ...input.tables.flatMap((each) => columnConflicts(each, make)),
    ...input.tables
      .filter(({ target }) => target.rowSecurity)
      .map(({ table }) => make('ROW_SECURITY', table, null, 1)),
    ...privilegeConflicts(input, make),
    ...triggersMet(input.tables, input.units).map(({ table, trigger }) => {
      const choice = rules.triggers[trigger.name];
      return make(
        'TRIGGER',
        table,
        trigger.name,
        1,
        choice === undefined ? null : `--trigger ${trigger.name}=${choice}`,
      );
    }),
  ];
}

/** The application's triggers that the restore's statements would fire. */
export function triggersMet(
  tables: readonly TableRestore[],
  units: readonly RestoreUnit[],
): { readonly table: TableName; readonly trigger: TargetTrigger }[] {
  const linked = new Set(
    units.flatMap((unit) => (unit.kind === 'link' ? [...unit.links.keys()] : [])),
  );
  return tables.flatMap(({ table, target, deleted, changed }) =>
    target.triggers
      .filter(
        (trigger) =>
          (trigger.onInsert && deleted.length > 0) ||
          (trigger.onUpdate && (changed.length > 0 || linked.has(table))),
      )
      .map((trigger) => ({ table, trigger })),
  );
}

type Make = (
  kind: ConflictKind,
  table: TableName | null,
  object: string | null,
  count: number,
) => Conflict;

function goneTables({ chunks, target }: StaticInput): { table: TableName; rows: number }[] {
  const rows = new Map<TableName, number>();
  for (const chunk of chunks) {
    if (target.tables.has(chunk.table)) continue;
    rows.set(chunk.table, (rows.get(chunk.table) ?? 0) + chunk.rows);
  }
  return [...rows].map(([table, count]) => ({ table, rows: count }));
}

function columnConflicts(
  { table, target, layouts, deleted, rows }: TableRestore,
  make: Make,
): Conflict[] {
  const live = new Map(target.columns.map((column) => [column.name, column]));
  const archived = new Map(
    [...layouts.values()].flatMap(({ layout }) =>
      layout.columns.map((column) => [column.name, column] as const),
    ),
  );
  const dropped = [...archived.values()].filter(({ name, generated }) => {
    const now = live.get(name);
    // A computed value that was computed before is computed again.
    return !generated && (now === undefined || now.generated);
  });
  const added = target.columns.filter(
    (column) =>
      column.notNull && !column.hasDefault && !column.generated && !archived.has(column.name),
  );
  // Added while the purge ran: rows that were archived before have no value of it.
  const late = target.columns.flatMap(({ name, notNull, generated, fill }) => {
    if (!notNull || generated || fill !== null || !archived.has(name)) return [];
    const without = deleted.filter(
      ({ layout }) => layouts.get(layout)?.fieldOf.has(name) === false,
    );
    const count = without.reduce((sum, chunk) => sum + chunk.rows, 0);
    return count === 0 ? [] : [{ name, count }];
  });
  return [
    ...dropped.map(({ name }) => make('COLUMN_DROPPED', table, name, rows)),
    ...late.map(({ name, count }) => make('COLUMN_ADDED', table, name, count)),
    ...(rows > 0 ? added.map(({ name }) => make('COLUMN_ADDED', table, name, rows)) : []),
  ];
}

function privilegeConflicts({ target, tables, units }: StaticInput, make: Make): Conflict[] {
  const linked = new Set(
    units.flatMap((unit) => (unit.kind === 'link' ? [...unit.links.keys()] : [])),
  );
  const missing = tables.flatMap(({ table, target: found, deleted, changed }) =>
    found.missingPrivileges
      .filter((privilege) => {
        if (privilege === 'INSERT') return deleted.length > 0;
        return privilege !== 'UPDATE' || changed.length > 0 || linked.has(table);
      })
      .map((privilege) => make('PRIVILEGE', table, privilege, 1)),
  );
  const unreadable = tables
    .filter(({ deleted }) => deleted.length > 0)
    .flatMap(({ table, target: found }) =>
      found.sequences
        .filter(({ readable }) => !readable)
        .map(({ sequence }) => make('PRIVILEGE', table, `SELECT on sequence ${sequence}`, 1)),
    );
  return target.mayMakeTemporary
    ? [...missing, ...unreadable]
    : [...missing, ...unreadable, make('PRIVILEGE', null, 'TEMPORARY on the database', 1)];
}
