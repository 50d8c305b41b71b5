import type { ArchiveChunk } from '../../domain/archive.ts';
import {
  CONFLICT_ROWS_LISTED,
  type Conflict,
  type ConflictKind,
  type RestoreRules,
} from '../../domain/restore.ts';
import * as probe from '../../postgres/restore/conflict-probe.ts';
import * as stages from '../../postgres/restore/probe-stage.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { Target } from '../../postgres/restore/target.ts';
import type { RestoreArchive } from './chunk-source.ts';
import { wordsOf } from './conflict-words.ts';
import { type LineEdit, LineEditor } from './line-editor.ts';
import { placesOf, type TableLayout, type TableRestore } from './restore-plan.ts';
import type { Progress } from './restore-progress.ts';

/** Up to so many rows whole rows are compared with the rules of the table; of more only what decides. */
const WHOLE_ROWS_MAX = 50_000;

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

/**
 * Stages what decides of a table's rows that are not back yet. @returns null where there are none, or
 * a type refuses them: then `refused` says so
 */
export async function stageTable(
  session: RestoreSession,
  input: CheckInput,
  table: TableRestore,
  refused: Conflict[],
): Promise<stages.StagedTable | null> {
  const chunks = table.deleted.filter(({ seq, rows }) => input.nextLine(seq) < rows);
  if (chunks.length === 0) return null;
  const staged: stages.StagedTable = {
    number: table.number,
    target: table.target,
    ...stagedColumns(input, table),
    retyped: table.retyped,
  };
  const nulls = new RefusedNulls(table, staged);
  try {
    await session.attempt(async () => {
      const copy = await stages.makeStage(session, staged);
      const raw = staged.columns.filter((name) => staged.retyped.has(name));
      const columns = [...staged.columns, ...raw];
      await session.copyIn(copy, stageLines(input, table, chunks, columns, { nulls }));
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
  refused.push(...nulls.conflicts());
  await stages.analyze(session, staged);
  return staged;
}

/** NULLs where a column takes none, seen in the text of columns that are not staged. */
class RefusedNulls {
  readonly #table: TableRestore;
  readonly #columns: readonly string[];
  readonly #found = new Map<string, { count: number; readonly rows: string[] }>();

  constructor(table: TableRestore, staged: stages.StagedTable) {
    this.#table = table;
    this.#columns = table.target.columns
      .filter(
        ({ name, notNull, generated }) =>
          notNull && !generated && table.columns.includes(name) && !staged.columns.includes(name),
      )
      .map(({ name }) => name);
  }

  watch(chunk: ArchiveChunk, layout: TableLayout): Pick<LineEdit, 'watch'> {
    const nameOf = new Map(
      this.#columns.flatMap((name) => {
        const field = layout.fieldOf.get(name);
        return field === undefined ? [] : [[field, name] as const];
      }),
    );
    if (nameOf.size === 0) return {};
    const onNull = (field: number, line: number): void => {
      const name = nameOf.get(field) ?? '';
      const known = this.#found.get(name) ?? { count: 0, rows: [] };
      this.#found.set(name, known);
      known.count += 1;
      if (known.rows.length < CONFLICT_ROWS_LISTED) {
        known.rows.push(`line ${line} of chunk ${chunk.seq}`);
      }
    };
    return { watch: { fields: [...nameOf.keys()], onNull } };
  }

  conflicts(): Conflict[] {
    const { table } = this.#table;
    return [...this.#found].map(([object, { count, rows }]) => ({
      kind: 'VALUE_REFUSED' as const,
      table,
      object,
      count,
      rows,
      ...wordsOf('VALUE_REFUSED', { table, object, count }),
      settledBy: null,
    }));
  }
}

/** Keys, and whatever else decides; of a table with few rows everything. */
function stagedColumns(
  { target, tables }: CheckInput,
  table: TableRestore,
): Pick<stages.StagedTable, 'columns' | 'computed'> {
  const { uniques, partitionColumns, checks } = table.target;
  const archived = new Set(tables.map((each) => each.table));
  const wanted = new Set([
    ...table.target.primaryKey,
    ...table.retyped.keys(),
    ...(partitionColumns ?? []),
    ...uniques.flatMap(({ columns }) => columns ?? []),
    ...checks.flatMap(({ columns }) => columns),
    ...target.keys.filter(({ child }) => child === table.table).flatMap(({ columns }) => columns),
    ...target.keys
      .filter(({ child, parent }) => parent === table.table && archived.has(child))
      .flatMap(({ referenced }) => referenced),
  ]);
  const readsAll =
    table.rows <= WHOLE_ROWS_MAX ||
    partitionColumns === null ||
    uniques.some(({ columns }) => columns === null);
  const generated = table.target.columns.filter(
    ({ name, expression, reads }) =>
      expression !== null &&
      (readsAll || wanted.has(name)) &&
      reads.every((each) => table.columns.includes(each)),
  );
  for (const { reads } of generated) for (const name of reads) wanted.add(name);
  return {
    columns: table.columns.filter((name) => readsAll || wanted.has(name)),
    computed: generated.map(({ name }) => name),
  };
}

/** Lines with their place and these columns. */
export async function* stageLines(
  input: CheckInput,
  table: TableRestore,
  chunks: TableRestore['deleted'],
  columns: readonly string[],
  {
    only,
    nulls,
  }: {
    readonly only?: ReadonlyMap<number, ReadonlySet<number>> | undefined;
    readonly nulls?: RefusedNulls;
  } = {},
): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    const lines = only?.get(chunk.seq);
    if (only !== undefined && lines === undefined) continue;
    const layout = table.layouts.get(chunk.layout);
    if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
    const editor = new LineEditor({
      ...placesOf(layout, columns),
      from: input.nextLine(chunk.seq),
      to: Infinity,
      prefix: String(chunk.seq),
      ...(lines === undefined ? {} : { only: lines }),
      ...nulls?.watch(chunk, layout),
    });
    for await (const block of input.archive.lines(chunk)) {
      input.signal.throwIfAborted();
      yield editor.push(block);
    }
    if (only === undefined) input.progress.add(chunk.rows);
  }
}
