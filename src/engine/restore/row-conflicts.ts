import type { TableName } from '../../domain/ids.ts';
import type { Conflict } from '../../domain/restore.ts';
import * as probe from '../../postgres/restore/conflict-probe.ts';
import * as stages from '../../postgres/restore/probe-stage.ts';
import { findChangesOfSkipped } from '../../postgres/restore/reference-probe.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import { changeLines } from './change-lines.ts';
import { clearedKeys } from './cleared-references.ts';
import { findGoneParents, findLostParents } from './gone-parents.ts';
import type { TableRestore } from './restore-plan.ts';
import { type SettledFindings, settleFindings } from './settled-findings.ts';
import { type CheckInput, stageTable } from './stage-keys.ts';
import { findTakenRows } from './taken-rows.ts';

/**
 * Looks for everything in the data that stands in the way of the rows not restored yet: their keys are
 * staged in temporary tables and compared with what is there. Changes nothing; runs in a transaction
 * that is rolled back.
 */
export async function findRowConflicts(
  session: RestoreSession,
  input: CheckInput,
): Promise<SettledFindings> {
  await stages.openFindings(session);
  const refused: Conflict[] = [];
  const staged = await stageTables(session, input, refused);
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
  // Last: what is left out by now takes with it what refers to it.
  const cleared = clearedKeys(input);
  await findGoneParents(session, input, staged, cleared);
  for (const table of input.tables) {
    const columns = changed.get(table.table) ?? [];
    if (columns.length === 0) continue;
    const stage = staged.get(table.table);
    if (stage !== undefined) await findChangesOfSkipped(session, stage, cleared);
    await findLostParents(session, input, { table, columns, staged, cleared });
  }
  const { conflicts, skips } = await settleFindings(session, input);
  return { conflicts: [...refused, ...conflicts], skips };
}

async function stageTables(
  session: RestoreSession,
  input: CheckInput,
  refused: Conflict[],
): Promise<ReadonlyMap<TableName, stages.StagedTable>> {
  const staged = new Map<TableName, stages.StagedTable>();
  for (const table of input.tables) {
    input.signal.throwIfAborted();
    const stage = await stageTable(session, input, table, refused);
    if (stage !== null) staged.set(table.table, stage);
  }
  return staged;
}

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

/** Whether all that decides of a row's partition is staged. */
const knowsPartition = ({ target, columns }: stages.StagedTable): boolean =>
  (target.partitionColumns ?? target.columns.map(({ name }) => name)).every(
    (name) =>
      columns.includes(name) ||
      target.columns.find((each) => each.name === name)?.generated === true,
  );
