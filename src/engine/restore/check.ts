import type { TableName } from '../../domain/ids.ts';
import { CONFLICT_ROWS_LISTED, type Conflict } from '../../domain/restore.ts';
import * as probe from '../../postgres/restore/conflict-probe.ts';
import * as stages from '../../postgres/restore/probe-stage.ts';
import * as references from '../../postgres/restore/reference-probe.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { SkippedLine } from '../../postgres/restore/restore-store.ts';
import type { TargetKey, UniqueRule } from '../../postgres/restore/target.ts';
import * as uniques from '../../postgres/restore/unique-probe.ts';
import { changeLines } from './change-lines.ts';
import { ruleOf, wordsOf } from './conflict-words.ts';
import type { TableRestore } from './restore-plan.ts';
import { type CheckInput, stageLines, stageTable } from './stage-keys.ts';

/** Up to so many rows are compared with each other where an exclusion constraint has to hold. */
const RIVALS_MAX = 5_000;
/** Lines whose numbers are held in memory; of more whole chunks are read once more. */
const LINES_MAX = 200_000;

export interface CheckResult {
  readonly conflicts: readonly Conflict[];
  /** What the rules leave out. */
  readonly skips: readonly SkippedLine[];
}

/**
 * Looks for everything that stands in the way of the rows not restored yet: their keys are staged in
 * temporary tables and compared with what is there. Changes nothing; runs in a transaction that is
 * rolled back.
 */
export async function findConflicts(
  session: RestoreSession,
  input: CheckInput,
): Promise<CheckResult> {
  await stages.openFindings(session);
  const refused: Conflict[] = [];
  const staged = new Map<TableName, stages.StagedTable>();
  for (const table of input.tables) {
    input.signal.throwIfAborted();
    const stage = await stageTable(session, input, table, refused);
    if (stage !== null) staged.set(table.table, stage);
  }
  const withChanges = new Set<TableName>();
  for (const table of input.tables) {
    if (await stageChanges(session, input, table)) withChanges.add(table.table);
  }
  for (const table of input.tables) {
    const stage = staged.get(table.table);
    if (stage === undefined) continue;
    input.signal.throwIfAborted();
    await probe.findRetyped(session, stage);
    await probe.findRefused(session, stage);
    if (knowsPartition(stage)) await probe.findUnrouted(session, stage);
    await findTakenRows(session, input, table, { stage, hasChanges: withChanges.has(table.table) });
  }
  const changed = new Map<TableName, readonly string[]>();
  for (const { table, number, target } of input.tables) {
    if (!withChanges.has(table)) continue;
    const stage = staged.get(table) ?? null;
    changed.set(table, await probe.findChangedSince(session, number, target, stage));
  }
  const cleared = clearedKeys(input);
  await findOrphans(session, input, staged, cleared);
  for (const table of input.tables) {
    const columns = changed.get(table.table) ?? [];
    if (columns.length === 0) continue;
    const stage = staged.get(table.table);
    if (stage !== undefined) await references.findChangesOfSkipped(session, stage, cleared);
    await findLostParents(session, input, { table, columns, staged, cleared });
  }
  return await settle(session, input, refused);
}

const knowsPartition = ({ target, columns }: stages.StagedTable): boolean =>
  (target.partitionColumns ?? target.columns.map(({ name }) => name)).every(
    (name) =>
      columns.includes(name) ||
      target.columns.find((each) => each.name === name)?.generated === true,
  );

async function findTakenRows(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
  { stage, hasChanges }: { readonly stage: stages.StagedTable; readonly hasChanges: boolean },
): Promise<void> {
  for (const unique of table.target.uniques) {
    // A column that was not archived has its default.
    if (unique.columns?.every((name) => stages.isStaged(stage, name)) === false) continue;
    try {
      await session.attempt(async () => {
        await uniques.findTaken(session, stage, unique);
        if (mayHaveRivals(table, unique)) await uniques.findRivals(session, stage, unique);
      });
    } catch (error) {
      if (!readsUnknownColumn(error)) throw error;
    }
  }
  const taken = await uniques.takenLines(session, stage);
  if (taken.size === 0) return;
  const lines = [...taken.values()].reduce((sum, each) => sum + each.size, 0);
  const whole: stages.StagedTable = { ...stage, columns: table.columns, computed: [] };
  const copy = await stages.makeWholeStage(session, whole);
  const chunks = table.deleted.filter(({ seq }) => taken.has(seq));
  await session.copyIn(
    copy,
    stageLines(input, table, chunks, table.columns, {
      only: lines > LINES_MAX ? undefined : taken,
    }),
  );
  await uniques.tellPresent(session, whole, hasChanges);
}

/** The primary key under which the rows were archived kept them apart. */
function mayHaveRivals(table: TableRestore, { primary, exclusion, columns }: UniqueRule): boolean {
  if (exclusion) return table.rows <= RIVALS_MAX;
  if (!primary) return true;
  return [...table.layouts.values()].some(
    ({ layout }) => layout.primaryKey.toSorted().join('\0') !== columns?.toSorted().join('\0'),
  );
}

const readsUnknownColumn = (error: unknown): boolean =>
  (error as { readonly code?: unknown } | null)?.code === '42703';

/** @returns whether there are changes that can be looked at */
async function stageChanges(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
): Promise<boolean> {
  const chunks = table.changed.filter(({ seq }) => !input.isChangeDone(seq));
  const { primaryKey } = table.target;
  // Without a primary key a row is known by all its values: that is looked at when it is changed back.
  if (chunks.length === 0 || primaryKey.length === 0) return false;
  if (!primaryKey.every((name) => table.columns.includes(name))) return false;
  const copy = await stages.makeChangeStage(session, table.number, table.target);
  await session.copyIn(copy, changeLines(input, table, chunks));
  return true;
}

/** Keys of which a rule clears the references that lead nowhere. */
const clearedKeys = ({ rules, tables, target }: CheckInput): string[] =>
  rules.settle.PARENT_GONE !== 'null'
    ? []
    : target.keys
        .filter(({ name, child }) => {
          const table = tables.find((each) => each.table === child);
          return nullableColumns(table, target.keys, name).length > 0;
        })
        .map(({ name }) => name);

/** Values from before the change that refer to what does not come back. */
async function findLostParents(
  session: RestoreSession,
  input: CheckInput,
  {
    table,
    columns,
    staged,
    cleared,
  }: {
    readonly table: TableRestore;
    readonly columns: readonly string[];
    readonly staged: ReadonlyMap<TableName, stages.StagedTable>;
    readonly cleared: readonly string[];
  },
): Promise<void> {
  for (const key of input.target.keys) {
    const changed = key.columns.filter((name) => columns.includes(name));
    if (key.child !== table.table || key.period || changed.length === 0) continue;
    const parent = parentStage(key, staged);
    const usable = parent !== null && key.referenced.every((name) => stages.isStaged(parent, name));
    await references.findLostParents(session, {
      key,
      number: table.number,
      target: table.target,
      child: staged.get(table.table) ?? null,
      parent: usable ? parent : null,
      changed,
      cleared,
    });
  }
}

const parentStage = (
  { parent }: TargetKey,
  staged: ReadonlyMap<TableName, stages.StagedTable>,
): stages.StagedTable | null => staged.get(parent) ?? null;

async function findOrphans(
  session: RestoreSession,
  input: CheckInput,
  staged: ReadonlyMap<TableName, stages.StagedTable>,
  cleared: readonly string[],
): Promise<void> {
  const probes = input.target.keys.flatMap((key): references.KeyProbe[] => {
    const child = staged.get(key.child);
    const table = input.tables.find((each) => each.table === key.child);
    if (child === undefined || table === undefined || key.period) return [];
    if (!key.columns.every((name) => stages.isStaged(child, name))) return [];
    const parent = parentStage(key, staged);
    const usable = parent !== null && key.referenced.every((name) => stages.isStaged(parent, name));
    return [{ key, child, parent: usable ? parent : null, chunks: chunksOf(table, key) }];
  });
  for (const each of probes) {
    input.signal.throwIfAborted();
    await references.findOrphans(session, each);
  }
  // What refers to a row that is left out is left out too, and what refers to that one: once a round
  // for each step away from it.
  for (;;) {
    let found = 0;
    for (const each of probes) {
      const { parent } = each;
      if (parent !== null) {
        found += await references.findChildrenOfSkipped(session, { ...each, parent }, cleared);
      }
    }
    if (found === 0) return;
  }
}

/** A key of a single partition binds the rows that came from it. */
function chunksOf(table: TableRestore, { childPartition }: TargetKey): number[] | null {
  if (childPartition === null) return null;
  return table.deleted
    .filter(({ layout }) => table.layouts.get(layout)?.layout.relation === childPartition)
    .map(({ seq }) => seq);
}

/** Conflicts in words, and what the rules make of their lines. */
async function settle(
  session: RestoreSession,
  { rules, tables, target }: CheckInput,
  refused: readonly Conflict[],
): Promise<CheckResult> {
  const byNumber = new Map(tables.map((table) => [table.number, table]));
  const found = await probe.readFindings(session, CONFLICT_ROWS_LISTED);
  const conflicts = found.map(({ kind, table: number, object, count, rows }): Conflict => {
    const table = byNumber.get(number)?.table ?? null;
    const cannotBeNull =
      kind === 'PARENT_GONE' &&
      rules.settle.PARENT_GONE === 'null' &&
      nullableColumns(byNumber.get(number), target.keys, object).length === 0;
    return {
      kind,
      table,
      object,
      count,
      rows,
      ...wordsOf(kind, { table, object, count }),
      settledBy: cannotBeNull ? null : ruleOf(kind, rules),
    };
  });
  const settled = [
    ...new Set(conflicts.filter(({ settledBy }) => settledBy !== null).map(({ kind }) => kind)),
  ];
  const lines =
    settled.length === 0
      ? []
      : await probe.readLines(session, [...settled, references.SKIPPED_CHANGE]);
  const isChange = new Set(tables.flatMap(({ changed }) => changed.map(({ seq }) => seq)));
  return {
    conflicts: [...refused, ...conflicts],
    skips: mergeSkips(
      lines.map(({ kind, table, seq, line, object }) => ({
        seq,
        line,
        conflict: kind,
        nullColumns:
          kind === 'PARENT_GONE' && rules.settle.PARENT_GONE === 'null' && !isChange.has(seq)
            ? nullableColumns(byNumber.get(table), target.keys, object)
            : null,
      })),
    ),
  };
}

/** Columns of a key that may be NULL; under MATCH FULL all of them or none. */
function nullableColumns(
  table: TableRestore | undefined,
  keys: readonly TargetKey[],
  name: string | null,
): readonly string[] {
  const key = keys.find((each) => each.name === name);
  if (table === undefined || key === undefined) return [];
  const free = key.columns.filter((column) => {
    const found = table.target.columns.find((each) => each.name === column);
    return found?.notNull === false && !table.target.primaryKey.includes(column);
  });
  return key.matchFull && free.length < key.columns.length ? [] : free;
}

/** One entry a line: left out altogether if anything says so, else without all columns named. */
function mergeSkips(skips: readonly SkippedLine[]): SkippedLine[] {
  const merged = new Map<string, SkippedLine>();
  for (const skip of skips) {
    const place = `${skip.seq} ${skip.line}`;
    const known = merged.get(place);
    if (known === undefined) merged.set(place, skip);
    else if (known.nullColumns !== null) {
      merged.set(
        place,
        skip.nullColumns === null
          ? skip
          : { ...known, nullColumns: [...new Set([...known.nullColumns, ...skip.nullColumns])] },
      );
    }
  }
  return [...merged.values()];
}
