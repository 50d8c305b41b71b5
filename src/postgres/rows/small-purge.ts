import type { OpenBatchSink } from '../../domain/archive.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { PlanLevel, PlanStep } from '../../domain/plan.ts';
import type { Fence } from '../../domain/records.ts';
import { type BatchLimits, entryOf, type LedgerEntry, ledgerRows } from './batch-bookkeeping.ts';
import { type Change, type TableStep, type Who, wholeChanges } from './change-statements.ts';
import type { Book } from './change-transactions.ts';
import { literal } from './row-predicate.ts';
import { deletedRows } from './transaction-changes.ts';

/** All levels of a small tenant, in one transaction. */
export interface SmallPurge {
  readonly fence: Fence;
  readonly tenantId: TenantId;
  readonly levels: readonly PlanLevel[];
  readonly limits: BatchLimits;
  readonly archive: OpenBatchSink | null;
  /** `redis`: give the purge back to wait for the sweep; `verify`: go on at once. */
  readonly next: 'redis' | 'verify';
}

/** Its statements, the level that each of their steps belongs to, and what is booked at the end. */
export function composeSmallPurge(
  { fence, levels, next }: SmallPurge,
  who: Who,
): {
  readonly changes: readonly Change[];
  readonly levelOf: (step: TableStep) => string;
  readonly book: Book;
} {
  const levelOf = new Map<TableStep, PlanLevel>();
  const changes = levels.flatMap((level) =>
    inOrder(level).flatMap((step) => {
      const changesOfStep = wholeChanges(step, who);
      for (const each of changesOfStep.flatMap(({ steps }) => steps)) levelOf.set(each, level);
      return changesOfStep;
    }),
  );
  const book: Book = (done, durationMs) => {
    const entries = done.flatMap(({ step, rows }): LedgerEntry[] => {
      const level = levelOf.get(step);
      if (level === undefined) return [];
      return [entryOf(step, rows, durationMs, { stage: level.stage, level: level.name })];
    });
    const rows = deletedRows(done);
    return { closing: [...ledgerRows(fence, entries), moveOn(fence, rows, next)], rows };
  };
  return { changes, levelOf: (step) => levelOf.get(step)?.name ?? '', book };
}

/** Clearing comes first: it is what makes the deletes of the level possible. */
const inOrder = ({ steps }: PlanLevel): PlanStep[] => [
  ...steps.filter((step) => step.kind === 'clear' && step.reason !== 'self'),
  ...steps.filter((step) => step.kind !== 'clear'),
];

const moveOn = (fence: Fence, rows: number, next: SmallPurge['next']): string =>
  `update tenant_purge.purge set rows_deleted = rows_deleted + ${rows}, level = null, ${
    next === 'redis'
      ? `stage = 'redis', status = 'queued', worker = null, redis_waiting_since = clock_timestamp()`
      : `stage = 'verify'`
  } where id = ${literal(fence.purgeId)}`;
