import { CONFLICT_ROWS_LISTED, type Conflict } from '../../domain/restore.ts';
import * as probe from '../../postgres/restore/conflict-probe.ts';
import { SKIPPED_CHANGE } from '../../postgres/restore/reference-probe.ts';
import type { RestoreSession } from '../../postgres/restore/restore-session.ts';
import type { SkippedLine } from '../../postgres/restore/restore-skips.ts';
import { clearedColumns } from './cleared-references.ts';
import { ruleOf, wordsOf } from './conflict-words.ts';
import type { CheckInput } from './stage-keys.ts';

export interface SettledFindings {
  readonly conflicts: readonly Conflict[];
  /** What the rules leave out, or put back without some columns. */
  readonly skips: readonly SkippedLine[];
}

/** Puts the findings of a look into words, and says what the rules make of their lines. */
export async function settleFindings(
  session: RestoreSession,
  input: CheckInput,
): Promise<SettledFindings> {
  const { rules, tables } = input;
  const byNumber = new Map(tables.map((table) => [table.number, table]));
  const isCleared = (kind: string): boolean =>
    kind === 'PARENT_GONE' && rules.settle.PARENT_GONE === 'null';
  const found = await probe.readFindings(session, CONFLICT_ROWS_LISTED);
  const conflicts = found.map(({ kind, table: number, object, count, rows }): Conflict => {
    const table = byNumber.get(number)?.table ?? null;
    const cannotBeNull =
      isCleared(kind) && clearedColumns(input, byNumber.get(number), object).length === 0;
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
  if (settled.length === 0) return { conflicts, skips: [] };
  const lines = await probe.readLines(session, [...settled, SKIPPED_CHANGE]);
  const isChange = new Set(tables.flatMap(({ changed }) => changed.map(({ seq }) => seq)));
  const skips = lines.map(({ kind, table, seq, line, object }) => ({
    seq,
    line,
    conflict: kind,
    nullColumns:
      isCleared(kind) && !isChange.has(seq)
        ? clearedColumns(input, byNumber.get(table), object)
        : null,
  }));
  return { conflicts, skips: mergeSkips(skips) };
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
