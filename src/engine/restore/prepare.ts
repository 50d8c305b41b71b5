import {
  type Conflict,
  NO_KEYS,
  NO_RULES,
  type RestoreReport,
  type RestoreRules,
} from '../../domain/restore.ts';
import type { RestoreRecord } from '../../postgres/restore/restore-record.ts';
import { type RestoreSession, RestoreSessions } from '../../postgres/restore/restore-session.ts';
import type { DoneLines, SkippedLine } from '../../postgres/restore/restore-skips.ts';
import type { RestoreStore } from '../../postgres/restore/restore-store.ts';
import { readTarget } from '../../postgres/restore/target.ts';
import { findTakenKeys } from './keys-phase.ts';
import { refuseUnknownTriggers } from './refusals.ts';
import { planUnits, tablesOf } from './restore-plan.ts';
import { Progress } from './restore-progress.ts';
import type { RestoreParts, RestoreRequest } from './restore-request.ts';
import { changePiece, DoneWork, type RestoreRun } from './restore-run.ts';
import { findRowConflicts } from './row-conflicts.ts';
import { staticConflicts } from './static-conflicts.ts';

/** What a look has found: what the claim books and the restore goes by. */
export interface PreparedRestore extends Pick<RestoreRun, 'target' | 'tables' | 'units'> {
  readonly rules: RestoreRules;
  readonly sessions: RestoreSessions;
  readonly skips: readonly SkippedLine[];
  readonly doneLines: readonly DoneLines[];
  /** As it is before the first change; `outcome` is `checked`. */
  readonly report: RestoreReport;
  readonly progress: Progress;
}

/**
 * Looks at the database that the rows go back into: what is to be done there, and what stands in the
 * way. Changes nothing. @throws PurgeError USAGE, ARCHIVE_DAMAGED; driver errors
 */
export async function prepareRestore(
  parts: RestoreParts,
  request: RestoreRequest,
  { store, before }: { readonly store: RestoreStore; readonly before: RestoreRecord | null },
): Promise<PreparedRestore> {
  const { archive, keyspace } = parts;
  const rules = request.rules ?? before?.rules ?? NO_RULES;
  const sessions = new RestoreSessions(parts.database, parts.limits, archive.searchPath);
  const done = new DoneWork(await store.done(request.purge.id));
  const progress = new Progress(request.onState);
  const rowsTotal = archive.chunks.reduce(
    (sum, { kind, rows }) => (kind === 'deleted' ? sum + rows : sum),
    0,
  );
  progress.enter('checking', rowsTotal);
  const found = await sessions.look((session) =>
    look(session, { parts, request, rules, done, progress }),
  );
  const keys = keyspace === null ? [] : await findTakenKeys(archive, keyspace, rules);
  return {
    rules,
    sessions,
    target: found.target,
    tables: found.tables,
    units: found.units,
    skips: found.skips,
    doneLines: doneLinesOf(parts, done),
    progress,
    report: {
      purgeId: request.purge.id,
      outcome: 'checked',
      rowsTotal,
      rowsRestored: before?.rowsRestored ?? 0,
      rowsSkipped: before?.rowsSkipped ?? 0,
      rowsChangedBack: 0,
      keys: NO_KEYS,
      tables: [],
      sequences: [],
      conflicts: [...found.conflicts, ...keys],
      error: null,
    },
  };
}

interface LookInput {
  readonly parts: RestoreParts;
  readonly request: RestoreRequest;
  readonly rules: RestoreRules;
  readonly done: DoneWork;
  readonly progress: Progress;
}

async function look(
  session: RestoreSession,
  { parts: { archive }, request, rules, done, progress }: LookInput,
): Promise<
  Pick<PreparedRestore, 'target' | 'tables' | 'units' | 'skips'> & {
    readonly conflicts: readonly Conflict[];
  }
> {
  const { layouts, chunks } = archive;
  const target = await readTarget(session, [...new Set(chunks.map(({ table }) => table))]);
  const tables = tablesOf({ layouts, chunks }, target);
  refuseUnknownTriggers(request.rules, tables);
  const units = planUnits(tables, target.keys);
  const fixed = staticConflicts({ layouts, chunks, target, tables, units, rules });
  // What could not even be read would only fail.
  if (fixed.some(({ kind }) => kind === 'PRIVILEGE' || kind === 'ROW_SECURITY')) {
    return { target, tables, units, conflicts: fixed, skips: [] };
  }
  const { conflicts, skips } = await findRowConflicts(session, {
    archive,
    target,
    tables,
    rules,
    nextLine: (seq) => done.nextLine(seq),
    isChangeDone: (seq) => done.has(changePiece(seq)),
    progress,
    signal: request.signal,
  });
  return { target, tables, units, conflicts: [...fixed, ...conflicts], skips };
}

/** A chunk of changed rows is changed back in one batch: all of its lines are done, or none. */
const doneLinesOf = ({ archive }: RestoreParts, done: DoneWork): DoneLines[] =>
  archive.chunks.flatMap(({ seq, kind, rows }) => {
    const line = kind === 'deleted' ? done.nextLine(seq) : done.has(changePiece(seq)) ? rows : 0;
    return line === 0 ? [] : [{ seq, line }];
  });
