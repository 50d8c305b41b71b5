import * as stages from '../../postgres/restore/probe-stage.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { UniqueRule } from '../../postgres/restore/target.ts';
import * as uniques from '../../postgres/restore/unique-probe.ts';
import type { TableRestore } from './restore-plan.ts';
import { type CheckInput, stageLines } from './stage-keys.ts';

/** Up to so many rows are compared with each other where an exclusion constraint has to hold. */
const RIVALS_MAX = 5_000;
/** Lines whose numbers are held in memory; of more whole chunks are read once more. */
const LINES_MAX = 200_000;

/**
 * Finds rows whose key is taken, by a row that is there or by another one of the archive, and tells
 * the very row (`ROW_PRESENT`) from another with its key (`ROW_TAKEN`).
 */
export async function findTakenRows(
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
