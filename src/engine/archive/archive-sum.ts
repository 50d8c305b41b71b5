import { dayOf } from '../../domain/archive-state.ts';
import type { PurgeArchives } from './archive-states.ts';

/** The archives of a campaign's purges, together. */
export interface CampaignArchive {
  /** Host and folder of the place; several where the workers did not share one. */
  readonly locations: readonly string[];
  readonly purges: number;
  readonly bytes: number;
  readonly rows: number;
  /** The first and the last of those that are there; ISO 8601, null while none has ended. */
  readonly keptUntil: { readonly first: string; readonly last: string } | null;
  readonly expired: number;
  /** Purges that can be undone now. */
  readonly undoable: number;
}

/** Null where none of the purges has an archive. Pure. */
export function sumArchives(archives: PurgeArchives): CampaignArchive | null {
  const states = [...archives.values()].flatMap(({ state }) => state ?? []);
  if (states.length === 0) return null;
  const kept = states
    .flatMap(({ expiredAt, keptUntil }) => (expiredAt === null ? (keptUntil ?? []) : []))
    .sort();
  const [first] = kept;
  const last = kept.at(-1);
  return {
    locations: [...new Set(states.map(({ location }) => location))].sort(),
    purges: states.length,
    bytes: states.reduce((sum, { bytes }) => sum + bytes, 0),
    rows: states.reduce((sum, { rows }) => sum + rows, 0),
    keptUntil: first === undefined || last === undefined ? null : { first, last },
    expired: states.filter(({ expiredAt }) => expiredAt !== null).length,
    undoable: states.filter(({ undoable }) => undoable).length,
  };
}

/** Whether there is a way back for a campaign that archives, for people. */
export function describeCampaignUndo(archive: CampaignArchive | null): string {
  if (archive === null) return 'Nothing was archived: there is nothing to undo.';
  const { purges, expired, undoable, keptUntil } = archive;
  if (expired === purges) return 'All its archives have expired: it cannot be undone any more.';
  const until = keptUntil === null ? '' : `, until ${dayOf(new Date(keptUntil.first))} at least`;
  return [
    undoable === 0
      ? 'Its purges can be undone once they have ended.'
      : `${undoable} of ${purges} archived purges can be undone now${until}: tenant-purge restore PURGE`,
    ...(expired > 0 ? [`${expired} ${expired === 1 ? 'has' : 'have'} expired.`] : []),
  ].join(' ');
}
