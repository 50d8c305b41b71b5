import type { TableName } from '../../domain/ids.ts';
import { proveChanges } from '../../postgres/restore/change-proof.ts';
import { makeChangeStage } from '../../postgres/restore/probe-stage.ts';
import { knownTypes, makeKeyStage } from '../../postgres/restore/read-back.ts';
import { changeLines } from './change-lines.ts';
import type { TableRestore } from './restore-plan.ts';
import { changePiece, DoneWork, type RestoreRun, skipsOfChunk } from './restore-run.ts';
import { keyLines } from './verify-phase.ts';

/** A column whose changed values are not what they were. */
export interface UnprovenColumn {
  readonly table: TableName;
  readonly column: string;
  readonly rows: number;
}

/**
 * The proof behind the last change: every value that the purge had changed is read again, and is what
 * it was before the purge's first change to it. `verifyTables` has shown the rest of the restored rows
 * before; this shows what came after. Rows that a rule left as they are count only where the restore
 * wrote to them. A table without a primary key has no row that could be found again: there each batch
 * has counted what it found.
 * @returns columns that do not agree
 */
export async function proveChangedRows(run: RestoreRun): Promise<readonly UnprovenColumn[]> {
  const tables = run.tables.filter((table) => isProvable(run, table));
  if (tables.length === 0) return [];
  const done = new DoneWork(await run.store.done(run.hold.purgeId));
  const unproven: UnprovenColumn[] = [];
  for (const table of tables) {
    run.signal.throwIfAborted();
    run.progress.at(table.table);
    unproven.push(...(await proveTable(run, table, done)));
    run.progress.add(table.changed.reduce((sum, { rows }) => sum + rows, 0));
  }
  return unproven;
}

function isProvable({ rules }: RestoreRun, { changed, columns, target }: TableRestore): boolean {
  const fires = target.triggers.some(
    ({ name, onUpdate }) => onUpdate && rules.triggers[name] === 'fire',
  );
  const isKeyed =
    target.primaryKey.length > 0 && target.primaryKey.every((name) => columns.includes(name));
  // A trigger that the operator lets fire may change what it likes.
  return changed.length > 0 && isKeyed && !fires;
}

async function proveTable(
  run: RestoreRun,
  table: TableRestore,
  done: DoneWork,
): Promise<readonly UnprovenColumn[]> {
  const skips = new Map<number, ReadonlySet<number>>();
  for (const { seq } of table.changed) skips.set(seq, (await skipsOfChunk(run, seq)).skip);
  const { settle } = run.rules;
  const leavesSome = settle.CHANGED_SINCE !== undefined || settle.ROW_GONE !== undefined;
  const proven = await run.sessions.look(async (session) => {
    const copy = await makeChangeStage(session, table.number, table.target);
    const lines = changeLines(run, table, table.changed, (seq) => skips.get(seq) ?? new Set());
    await session.copyIn(copy, lines);
    const proof = {
      number: table.number,
      target: table.target,
      retyped: await knownTypes(session, table.retyped),
      xids: table.changed.flatMap(({ seq }) => done.of(changePiece(seq)).map(({ xid }) => xid)),
    };
    const found = await proveChanges(session, { ...proof, cameBackStaged: false });
    const isOpen = found.some(({ other, wrong }) => other > wrong);
    if (!isOpen || leavesSome || table.deleted.length === 0) return found;
    // Whose these rows are is worth reading all keys only where there are any.
    await session.copyIn(await makeKeyStage(session, table.target), keyLines(run, table));
    return proveChanges(session, { ...proof, cameBackStaged: true });
  });
  return proven
    .filter(({ wrong }) => wrong > 0)
    .map(({ column, wrong }) => ({ table: table.table, column, rows: wrong }));
}
