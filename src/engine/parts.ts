import type { WorkerId } from '../domain/ids.ts';
import type { KeepList } from '../domain/keep-list.ts';
import type { Plan } from '../domain/plan.ts';
import type { CampaignRecord, Fence, PurgeRecord } from '../domain/records.ts';
import type { CampaignStore } from '../postgres/ledger/campaigns.ts';
import type { PurgeStore } from '../postgres/ledger/purges.ts';
import type { QuiesceStore } from '../postgres/quiesce-store.ts';
import type { RowReader } from '../postgres/rows/row-reader.ts';
import type { RowStore } from '../postgres/rows/row-store.ts';
import type { ArchiveParts } from './archive/archive-parts.ts';
import type { RunArchive } from './archive/run-archive.ts';
import type { Failpoint } from './failpoints.ts';
import type { IdentityCheck } from './identity-check.ts';
import type { LivePlan } from './live-plan.ts';
import type { Sweeper } from './sweeper.ts';
import type { Throttle } from './throttle.ts';

/** What one worker process needs to run purges; wired once by `src/runtime`. */
export interface EngineParts {
  readonly purges: PurgeStore;
  readonly campaigns: CampaignStore;
  readonly rows: RowStore;
  readonly reader: RowReader;
  readonly livePlan: LivePlan;
  readonly identity: IdentityCheck;
  /** Null where the configuration names no Redis keys: the Redis stage is then empty. */
  readonly sweeper: Sweeper | null;
  /** Null where this process archives nothing: it then takes no purge that has to be archived. */
  readonly archive: ArchiveParts | null;
  readonly quiesce: QuiesceStore;
  /** Tenants that must never go, as this process knows them now. */
  readonly keep: KeepList;
  readonly limits: EngineLimits;
  /** Asked before every batch. */
  readonly throttle: Throttle;
  readonly failpoint: Failpoint;
  readonly log: EngineLog;
}

interface EngineLimits {
  readonly targetMs: number;
  readonly maxRows: number;
  readonly smallPurgeRows: number;
  readonly connections: number;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly maxPasses: number;
}

/** The engine's view of the logger; pino fits. */
export interface EngineLog {
  info(bindings: object, message: string): void;
  warn(bindings: object, message: string): void;
  error(bindings: object, message: string): void;
}

/** How a run asks whether it must stop for a reason that the ledger does not know. */
export interface RunControl {
  readonly worker: WorkerId;
  /** Asked before every batch: shutdown of the process, or a paused queue. Null: go on. */
  stopReason(): Promise<string | null>;
  /** Fire and forget; called after every batch. */
  onProgress(progress: Progress): void;
  /** Milestones for people; bounded in number by the stages and levels. */
  onMilestone(text: string): void;
}

export interface Progress {
  /** 0–100. */
  readonly progress: number;
  readonly stage: string;
  readonly level: string | null;
  readonly table: string | null;
  readonly rowsDeleted: number;
  readonly rowsTotal: number;
  readonly rowsPerSec: number;
  readonly etaSec: number | null;
  /** Whose figures these are: a job takes them from anybody, also from one who has lost the purge. */
  readonly fence: number;
  /** Why it does not delete just now; only while that is so. */
  readonly holding?: string;
}

/** One claimed purge under way. */
export interface Run {
  readonly parts: EngineParts;
  readonly control: RunControl;
  readonly purge: PurgeRecord;
  readonly fence: Fence;
  readonly campaign: CampaignRecord;
  readonly plan: Plan;
  /** Where its rows go before they are gone; null where the operator wanted none. */
  readonly archive: RunArchive | null;
}
