import { CANNOT_BE_UNDONE } from './confirmation.ts';
import { canTransition, isLive, type PurgeStatus } from './purge.ts';

const DAY_MS = 86_400_000;

/** What the ledger knows of a purge and its archive, as far as it decides whether there is a way back. */
interface UndoFacts {
  readonly status: PurgeStatus;
  readonly endedAt: Date | null;
  /** False where the operator wanted no archive. */
  readonly archiving: boolean;
  /** Null where none was begun. Sealed or not: the ledger knows what is in it. */
  readonly archive: { readonly expiredAt: Date | null } | null;
}

/** Whether a purge can be undone now, or why not. */
export type UndoAnswer =
  | { readonly kind: 'undoable' }
  /** It was asked for without an archive. */
  | { readonly kind: 'no-archive' }
  /** No row of it was archived, and therefore none deleted. */
  | { readonly kind: 'nothing-archived' }
  | { readonly kind: 'expired'; readonly at: Date }
  /** It still deletes, or may: cancel it first. */
  | { readonly kind: 'live' }
  | { readonly kind: 'restoring' }
  | { readonly kind: 'restored' };

/** The one place that decides whether a purge can be undone now. Pure. */
export function whetherUndoable({ status, archiving, archive }: UndoFacts): UndoAnswer {
  if (status === 'restored') return { kind: 'restored' };
  if (!archiving) return { kind: 'no-archive' };
  if (archive?.expiredAt != null) return { kind: 'expired', at: archive.expiredAt };
  if (status === 'restoring') return { kind: 'restoring' };
  if (isLive(status)) return { kind: 'live' };
  if (archive === null) return { kind: 'nothing-archived' };
  // The same table that the restore has to pass.
  return canTransition(status, 'restoring') ? { kind: 'undoable' } : { kind: 'live' };
}

/** Until when nobody is asked to expire the archive; null while the purge has not ended. */
export const keptUntil = (endedAt: Date | null, keepDays: number): Date | null =>
  endedAt === null ? null : new Date(endedAt.getTime() + keepDays * DAY_MS);

/** Whether the time is over for which an archive is kept; of what has not ended it never is. */
export function isPastKeeping(
  endedAt: Date | null,
  { keepDays, now }: { readonly keepDays: number; readonly now: Date },
): boolean {
  const until = keptUntil(endedAt, keepDays);
  return until !== null && until <= now;
}

/** A purge's archive in the JSON of `status`, `enqueue --wait` and the reports; programs rely on it. */
export interface ArchiveState {
  /** Host and folder of the place. */
  readonly location: string;
  /** Inside the place. */
  readonly folder: string;
  /** Committed bytes of its own segments; the Redis keys lie in segments that purges share. */
  readonly bytes: number;
  readonly rows: number;
  /** ISO 8601, UTC; null while the purge has not ended. */
  readonly keptUntil: string | null;
  readonly expiredAt: string | null;
  readonly undoable: boolean;
}

/** What the ledger knows of an archive itself. */
interface ArchiveFacts {
  readonly location: string;
  readonly folder: string;
  readonly bytes: number;
  readonly rows: number;
  readonly expiredAt: Date | null;
}

/** Null where there is no archive. @param keepDays null where this process does not know it */
export function archiveState(
  purge: Pick<UndoFacts, 'status' | 'endedAt' | 'archiving'>,
  archive: ArchiveFacts | null,
  keepDays: number | null,
): ArchiveState | null {
  if (archive === null) return null;
  const until = keepDays === null ? null : keptUntil(purge.endedAt, keepDays);
  return {
    location: archive.location,
    folder: archive.folder,
    bytes: archive.bytes,
    rows: archive.rows,
    keptUntil: until?.toISOString() ?? null,
    expiredAt: archive.expiredAt?.toISOString() ?? null,
    undoable: whetherUndoable({ ...purge, archive }).kind === 'undoable',
  };
}

/** One sentence on the way back, for people. */
export function describeUndo(answer: UndoAnswer, purgeId: string): string {
  switch (answer.kind) {
    case 'undoable':
      return `It can be undone: tenant-purge restore ${purgeId}`;
    case 'no-archive':
      return CANNOT_BE_UNDONE;
    case 'nothing-archived':
      return 'Nothing was archived: there is nothing to undo.';
    case 'expired':
      return `Its archive expired on ${dayOf(answer.at)}: this purge cannot be undone any more.`;
    case 'live':
      return 'It can be undone once it has ended, also half done: cancel it first.';
    case 'restoring':
      return 'It is being undone.';
    case 'restored':
      return 'It was undone: every archived row is back.';
    default:
      return answer satisfies never;
  }
}

/** `2026-03-01`. */
export const dayOf = (time: Date): string => time.toISOString().slice(0, 10);
