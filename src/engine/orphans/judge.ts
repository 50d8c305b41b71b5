import type { KeepList } from '../../domain/keep-list.ts';
import type { OrphanVerdict, SkipReason } from '../../domain/orphans.ts';
import type { Presence } from '../../postgres/tenant-presence.ts';

export interface JudgeParts {
  readonly presence: (ids: readonly string[]) => Promise<Presence>;
  /** Ids whose keys are a purge's business. */
  readonly busy: (
    ids: readonly string[],
  ) => Promise<ReadonlyMap<string, Extract<SkipReason, 'live-purge' | 'restorable'>>>;
  readonly keep: KeepList;
}

/**
 * What each of the ids is at this moment. Asked for every page, and again between the archive and the
 * unlink. Purges are asked before tenants: a restore that begins in between is seen by the one, one that
 * has ended by the other.
 */
export async function judgeIds(
  parts: JudgeParts,
  ids: readonly string[],
): Promise<Map<string, OrphanVerdict>> {
  if (ids.length === 0) return new Map();
  const busy = await parts.busy(ids);
  const { present, spelledOtherwise } = await parts.presence(ids);
  return new Map(
    ids.map((id): [string, OrphanVerdict] => {
      if (present.has(id)) return [id, 'owned'];
      if (spelledOtherwise.has(id)) return [id, 'another-spelling'];
      if (parts.keep.has(id)) return [id, 'kept'];
      return [id, busy.get(id) ?? 'orphan'];
    }),
  );
}
