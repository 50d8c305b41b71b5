import type { TableName } from '../../domain/ids.ts';
import { isStaged, type StagedTable } from '../../postgres/restore/probe-stage.ts';
import * as references from '../../postgres/restore/reference-probe.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { TargetKey } from '../../postgres/restore/target.ts';
import type { TableRestore } from './restore-plan.ts';
import type { CheckInput } from './stage-keys.ts';

/** Finds archived rows that refer to what is not there and does not come back. */
export async function findGoneParents(
  session: RestoreSession,
  input: CheckInput,
  staged: ReadonlyMap<TableName, StagedTable>,
  cleared: readonly string[],
): Promise<void> {
  const probes = input.target.keys.flatMap((key): references.KeyProbe[] => {
    const child = staged.get(key.child);
    const table = input.tables.find((each) => each.table === key.child);
    if (child === undefined || table === undefined || key.period) return [];
    if (!key.columns.every((name) => isStaged(child, name))) return [];
    return [{ key, child, parent: parentStage(key, staged), chunks: chunksOf(table, key) }];
  });
  for (const each of probes) {
    input.signal.throwIfAborted();
    await references.findGoneParents(session, each);
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

/** Values from before the change that refer to what does not come back. */
export async function findLostParents(
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
    readonly staged: ReadonlyMap<TableName, StagedTable>;
    readonly cleared: readonly string[];
  },
): Promise<void> {
  for (const key of input.target.keys) {
    const changed = key.columns.filter((name) => columns.includes(name));
    if (key.child !== table.table || key.period || changed.length === 0) continue;
    await references.findLostParents(session, {
      key,
      number: table.number,
      target: table.target,
      child: staged.get(table.table) ?? null,
      parent: parentStage(key, staged),
      changed,
      cleared,
    });
  }
}

/** Null where the parent's rows are not staged by the columns that the key refers to. */
function parentStage(
  { parent, referenced }: TargetKey,
  staged: ReadonlyMap<TableName, StagedTable>,
): StagedTable | null {
  const stage = staged.get(parent);
  return stage !== undefined && referenced.every((name) => isStaged(stage, name)) ? stage : null;
}

/** A key of a single partition binds the rows that came from it. */
function chunksOf(table: TableRestore, { childPartition }: TargetKey): number[] | null {
  if (childPartition === null) return null;
  return table.deleted
    .filter(({ layout }) => table.layouts.get(layout)?.layout.relation === childPartition)
    .map(({ seq }) => seq);
}
