import type { SegmentStore } from '../../archive/store.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { KeepKeys, OwnedKeys } from '../../redis/archive-keys.ts';
import type { KeyState, KeyToRestore } from '../../redis/restore-keys.ts';
import type { Failpoint } from '../failpoints.ts';
import type { FindParts } from './find-orphans.ts';

/** What a process needs to delete orphans. */
export interface DeleteParts extends FindParts {
  readonly runs: OrphanRunStore;
  readonly store: SegmentStore;
  /** Waits until nobody writes to the tenant table who does now. */
  readonly settleWriters: (waitMsMax: number) => Promise<void>;
  readonly archiveAndUnlink: (
    owned: readonly OwnedKeys<string>[],
    keep: KeepKeys<string>,
  ) => Promise<ReadonlyMap<string, number>>;
  readonly look: (keys: readonly KeyToRestore[]) => Promise<readonly KeyState[]>;
  /** Leaves keys alone that are there. */
  readonly putBack: (keys: readonly KeyToRestore[]) => Promise<{ readonly restored: number }>;
  readonly failpoint: Failpoint;
}

export interface DeleteRequest {
  readonly run: OrphanRun;
  readonly isResumed: boolean;
  /** The tenants that the operator confirmed; keys of others stay. */
  readonly confirmed: ReadonlySet<string>;
  readonly operator: string;
  readonly signal?: AbortSignal | undefined;
}
