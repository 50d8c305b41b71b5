import type { PurgeRecord } from '../../domain/records.ts';
import type { Conflict, RestoreRules } from '../../domain/restore.ts';
import type { Database } from '../../postgres/database.ts';
import type { BatchLimits } from '../../postgres/rows/batch-bookkeeping.ts';
import type { Failpoint } from '../failpoints.ts';
import type { RestoreArchive } from './chunk-source.ts';
import type { RestoreKeyspace } from './keys-phase.ts';
import type { OnRestoreState } from './restore-progress.ts';

/** What a restore works with. */
export interface RestoreParts {
  /** What the rows go back into; its ledger is migrated. */
  readonly database: Database;
  readonly archive: RestoreArchive;
  /** Null where keys are none of this restore's business; `keysOmitted` says why. */
  readonly keyspace: RestoreKeyspace | null;
  readonly keysOmitted: string | null;
  /** `connections`: tables that go back side by side. */
  readonly limits: BatchLimits & { readonly connections: number };
  readonly failpoint: Failpoint;
}

/** What an operator asks for. */
export interface RestoreRequest {
  readonly purge: PurgeRecord;
  /** Rules given now; null: those of the restore that goes on. */
  readonly rules: RestoreRules | null;
  readonly operator: string;
  /** `host:pid`, for people. */
  readonly holder: string;
  /** False where the purge's own ledger is another database's. */
  readonly movesPurge: boolean;
  readonly dryRun: boolean;
  /** Asked once nothing stands in the way any more, before the first change. @throws what refuses */
  readonly confirm: (found: {
    readonly rows: number;
    readonly conflicts: readonly Conflict[];
  }) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onState: OnRestoreState;
}
