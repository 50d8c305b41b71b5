import { encodeField, splitFields } from '../../domain/copy-text.ts';
import type { TableName } from '../../domain/ids.ts';
import {
  CONFLICT_ROWS_LISTED,
  type Conflict,
  type ConflictKind,
  type RestoreRules,
} from '../../domain/restore.ts';
import * as probe from '../../postgres/restore/conflict-probe.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { SkippedLine } from '../../postgres/restore/restore-store.ts';
import type { Target, TargetKey } from '../../postgres/restore/target.ts';
import type { RestoreArchive } from './chunk-source.ts';
import { ruleOf, wordsOf } from './conflict-words.ts';
import { LineEditor, linesOf } from './line-editor.ts';
import type { TableRestore } from './restore-plan.ts';
import type { Progress } from './restore-progress.ts';

/** Up to so many rows whole rows are compared with the rules of the table; of more only their keys. */
const WHOLE_ROWS_MAX = 50_000;
/** Lines whose numbers are held in memory; of more whole chunks are read once more. */
const LINES_MAX = 200_000;

export interface CheckInput {
  readonly archive: RestoreArchive;
  readonly target: Target;
  readonly tables: readonly TableRestore[];
  readonly rules: RestoreRules;
  /** First line of a chunk that is not restored yet; its number of rows where all are. */
  readonly nextLine: (seq: number) => number;
  readonly isChangeDone: (seq: number) => boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

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
  await probe.openFindings(session);
  const refused: Conflict[] = [];
  const staged = new Map<TableName, probe.StagedTable>();
  for (const table of input.tables) {
    input.signal.throwIfAborted();
    const stage = await stageTable(session, input, table, refused);
    if (stage !== null) staged.set(table.table, stage);
  }
  for (const table of input.tables) {
    const stage = staged.get(table.table);
    if (stage === undefined) continue;
    input.signal.throwIfAborted();
    await probe.findRetyped(session, stage);
    await probe.findRefused(session, stage);
    if (knowsPartition(stage)) await probe.findUnrouted(session, stage);
    await findTakenRows(session, input, table, stage);
  }
  const changed = new Map<TableName, readonly string[]>();
  for (const table of input.tables) {
    changed.set(table.table, await checkChanges(session, input, table, staged));
  }
  const cleared = clearedKeys(input);
  await findOrphans(session, input, staged, cleared);
  for (const table of input.tables) {
    const columns = changed.get(table.table) ?? [];
    if (columns.length === 0) continue;
    const stage = staged.get(table.table);
    if (stage !== undefined) await probe.findChangesOfSkipped(session, stage, cleared);
    await findLostParents(session, input, { table, columns, staged, cleared });
  }
  return await settle(session, input, refused);
}

async function stageTable(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
  refused: Conflict[],
): Promise<probe.StagedTable | null> {
  const chunks = table.deleted.filter(({ seq, rows }) => input.nextLine(seq) < rows);
  if (chunks.length === 0) return null;
  const staged: probe.StagedTable = {
    number: table.number,
    target: table.target,
    columns: stagedColumns(input, table),
    retyped: table.retyped,
  };
  try {
    await session.attempt(async () => {
      const copy = await probe.makeStage(session, staged);
      const raw = staged.columns.filter((name) => staged.retyped.has(name));
      await session.copyIn(copy, stageLines(input, table, chunks, [...staged.columns, ...raw]));
    });
  } catch (error) {
    const message = probe.refusalOf(error);
    if (message === null) throw error;
    const kind: ConflictKind = table.retyped.size > 0 ? 'COLUMN_RETYPED' : 'VALUE_REFUSED';
    const words = wordsOf(kind, { table: table.table, object: null, count: 1 });
    refused.push({
      kind,
      table: table.table,
      object: null,
      count: 1,
      rows: [],
      message: `${words.message} PostgreSQL says: ${message}.`,
      remedy: words.remedy,
      settledBy: null,
    });
    return null;
  }
  await probe.analyze(session, staged);
  return staged;
}

/** Keys, and whatever else decides; of a table with few rows everything. */
function stagedColumns({ target, tables }: CheckInput, table: TableRestore): string[] {
  const { uniques, partitionColumns } = table.target;
  const archived = new Set(tables.map((each) => each.table));
  const wanted = new Set([
    ...table.target.primaryKey,
    ...table.retyped.keys(),
    ...(partitionColumns ?? []),
    ...uniques.flatMap(({ columns }) => columns ?? []),
    ...target.keys.filter(({ child }) => child === table.table).flatMap(({ columns }) => columns),
    ...target.keys
      .filter(({ child, parent }) => parent === table.table && archived.has(child))
      .flatMap(({ referenced }) => referenced),
  ]);
  const readsAll =
    table.rows <= WHOLE_ROWS_MAX ||
    partitionColumns === null ||
    uniques.some(({ columns }) => columns === null);
  return table.columns.filter((name) => readsAll || wanted.has(name));
}

/** Lines with their place and these columns. */
async function* stageLines(
  input: CheckInput,
  table: TableRestore,
  chunks: TableRestore['deleted'],
  columns: readonly string[],
  only?: ReadonlyMap<number, ReadonlySet<number>>,
): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    const lines = only?.get(chunk.seq);
    if (only !== undefined && lines === undefined) continue;
    const layout = table.layouts.get(chunk.layout);
    if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
    const editor = new LineEditor({
      fields: columns.map((name) => layout.fieldOf.get(name) ?? 0),
      from: input.nextLine(chunk.seq),
      to: Infinity,
      prefix: String(chunk.seq),
      ...(lines === undefined ? {} : { only: lines }),
    });
    for await (const block of input.archive.lines(chunk)) {
      input.signal.throwIfAborted();
      yield editor.push(block);
    }
    if (only === undefined) input.progress.add(chunk.rows);
  }
}

const knowsPartition = ({ target, columns }: probe.StagedTable): boolean =>
  (target.partitionColumns ?? target.columns.map(({ name }) => name)).every(
    (name) =>
      columns.includes(name) ||
      target.columns.find((each) => each.name === name)?.generated === true,
  );

async function findTakenRows(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
  stage: probe.StagedTable,
): Promise<void> {
  for (const unique of table.target.uniques) {
    // A column that was not archived has its default, or a value that only the database computes.
    if (unique.columns?.every((name) => stage.columns.includes(name)) === false) continue;
    try {
      await session.attempt(() => probe.findTaken(session, stage, unique));
    } catch (error) {
      if (!readsUnknownColumn(error)) throw error;
    }
  }
  const taken = await probe.takenLines(session, stage);
  if (taken.size === 0) return;
  const lines = [...taken.values()].reduce((sum, each) => sum + each.size, 0);
  const whole: probe.StagedTable = { ...stage, columns: table.columns };
  const copy = await probe.makeWholeStage(session, whole);
  const chunks = table.deleted.filter(({ seq }) => taken.has(seq));
  await session.copyIn(
    copy,
    stageLines(input, table, chunks, table.columns, lines > LINES_MAX ? undefined : taken),
  );
  await probe.tellPresent(session, whole);
}

const readsUnknownColumn = (error: unknown): boolean =>
  (error as { readonly code?: unknown } | null)?.code === '42703';

async function checkChanges(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
  staged: ReadonlyMap<TableName, probe.StagedTable>,
): Promise<readonly string[]> {
  const chunks = table.changed.filter(({ seq }) => !input.isChangeDone(seq));
  const { primaryKey } = table.target;
  // Without a primary key a row is known by all its values: that is looked at when it is changed back.
  if (chunks.length === 0 || primaryKey.length === 0) return [];
  if (!primaryKey.every((name) => table.columns.includes(name))) return [];
  const copy = await probe.makeChangeStage(session, table.number, table.target);
  await session.copyIn(copy, changeLines(input, table, chunks));
  return probe.findChangedSince(
    session,
    table.number,
    table.target,
    staged.get(table.table) ?? null,
  );
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
    readonly staged: ReadonlyMap<TableName, probe.StagedTable>;
    readonly cleared: readonly string[];
  },
): Promise<void> {
  for (const key of input.target.keys) {
    if (key.child !== table.table || key.columns.length > 1 || key.period) continue;
    const name = key.columns[0] ?? '';
    const type = table.target.columns.find((each) => each.name === name)?.type;
    if (!columns.includes(name) || type === undefined) continue;
    const parent = parentStage(key, staged);
    await probe.findLostParents(session, table.number, { key, parent, type, cleared });
  }
}

/** Each changed column of a changed row as a line of its own. */
async function* changeLines(
  input: CheckInput,
  table: TableRestore,
  chunks: TableRestore['changed'],
): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    const layout = table.layouts.get(chunk.layout);
    if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
    const names = layout.layout.columns.map(({ name }) => name);
    const key = table.target.primaryKey.map((name) => layout.fieldOf.get(name) ?? 0);
    let line = 0;
    for await (const block of input.archive.lines(chunk)) {
      input.signal.throwIfAborted();
      const out: string[] = [];
      for (const text of linesOf(block)) {
        const fields = splitFields(text);
        const keyText = key.map((field) => fields[names.length + field]?.toString('utf8') ?? '');
        for (const [at, name] of names.entries()) {
          const [before, after] = [fields[at], fields[names.length + at]];
          if (before === undefined || after === undefined || before.equals(after)) continue;
          out.push(
            [
              chunk.seq,
              line,
              encodeField(name).toString('utf8'),
              before.toString('utf8'),
              after.toString('utf8'),
              ...keyText,
            ].join('\t'),
          );
        }
        line += 1;
      }
      yield Buffer.from(out.map((text) => `${text}\n`).join(''), 'utf8');
    }
  }
}

const parentStage = (
  { parent }: TargetKey,
  staged: ReadonlyMap<TableName, probe.StagedTable>,
): probe.StagedTable | null => staged.get(parent) ?? null;

async function findOrphans(
  session: RestoreSession,
  input: CheckInput,
  staged: ReadonlyMap<TableName, probe.StagedTable>,
  cleared: readonly string[],
): Promise<void> {
  const probes = input.target.keys.flatMap((key): probe.KeyProbe[] => {
    const child = staged.get(key.child);
    const table = input.tables.find((each) => each.table === key.child);
    if (child === undefined || table === undefined || key.period) return [];
    if (!key.columns.every((name) => child.columns.includes(name))) return [];
    const parent = parentStage(key, staged);
    const usable =
      parent?.columns !== undefined &&
      key.referenced.every((name) => parent.columns.includes(name));
    return [{ key, child, parent: usable ? parent : null, chunks: chunksOf(table, key) }];
  });
  for (const each of probes) {
    input.signal.throwIfAborted();
    await probe.findOrphans(session, each);
  }
  // What refers to a row that is left out is left out too, and what refers to that one: once a round
  // for each step away from it.
  for (;;) {
    let found = 0;
    for (const each of probes) {
      const { parent } = each;
      if (parent !== null) {
        found += await probe.findChildrenOfSkipped(session, { ...each, parent }, cleared);
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
    settled.length === 0 ? [] : await probe.readLines(session, [...settled, probe.SKIPPED_CHANGE]);
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
