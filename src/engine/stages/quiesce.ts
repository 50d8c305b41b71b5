import { PurgeError } from '../../domain/errors.ts';
import type { QuiesceRule } from '../../domain/quiesce.ts';
import { fenced } from '../fenced.ts';
import type { Run, RunControl } from '../parts.ts';
import type { ProgressMeter } from '../progress.ts';
import { refuseKept } from './preflight.ts';

/**
 * Marks the tenant, so that the application writes nothing more for it, where the configuration says
 * how. Idempotent: after a crash or a pause the mark is only looked for. Refuses a tenant on hold, or
 * one that lost its mark since.
 * @throws PurgeError TENANT_KEPT, TENANT_HELD, TENANT_REACTIVATED, QUIESCE_FAILED; StopAsked, StaleFence
 */
export async function quiesce(run: Run, meter: ProgressMeter): Promise<void> {
  await refuseProtected(run, meter);
  if (run.plan.quiesce !== undefined) await mark(run, meter, run.plan.quiesce);
  await run.parts.failpoint('quiesced');
}

async function mark(run: Run, meter: ProgressMeter, rule: QuiesceRule): Promise<void> {
  const { plan, parts, purge } = run;
  meter.enter('quiesce', null);
  // Not before the purge may begin: a tenant is not taken out of service to wait for a window.
  await parts.throttle.admit(run, meter, []);
  const result = await fenced(run, () =>
    parts.quiesce.mark(
      run.fence,
      { plan, tenantId: purge.tenantId, rule },
      { limits: parts.limits, archive: run.archive?.sinkOf('quiesce', plan.tenant.table) ?? null },
    ),
  );
  if (result === 'set') run.control.onMilestone('The tenant is marked: it is being purged');
}

/**
 * May this tenant still go? Asked at the claim and at each level; `watchTenant` asks between.
 * @throws PurgeError TENANT_KEPT, TENANT_HELD, TENANT_REACTIVATED with what had gone before
 */
export async function refuseProtected(run: Run, meter: ProgressMeter): Promise<void> {
  try {
    refuseKept(run.parts.keep, run.purge, run.campaign);
  } catch (error) {
    throw withRowsGone(error, meter);
  }
  await refuseStanding(run, meter);
}

async function refuseStanding(run: Run, meter: ProgressMeter): Promise<void> {
  const { plan, purge } = run;
  if (!isWatched(run)) return;
  const standing = await run.parts.quiesce.standing(plan, purge.id, purge.tenantId);
  if (standing === null) return;
  const who = `Purge ${purge.id}: tenant ${purge.tenantId} (${purge.tenantLabel})`;
  const details = { tenantId: purge.tenantId };
  if (standing.held) {
    const error = new PurgeError('TENANT_HELD', `${who} is on hold: ${plan.hold} is set.`, {
      details: { ...details, column: plan.hold },
    });
    throw withRowsGone(error, meter);
  }
  if (!standing.marked || standing.bearsMark !== false || plan.quiesce?.kind !== 'column') return;
  const { column, value } = plan.quiesce;
  const error = new PurgeError(
    'TENANT_REACTIVATED',
    `${who} was reactivated: ${column} is no longer ${value}.`,
    { details: { ...details, column } },
  );
  throw withRowsGone(error, meter);
}

/** So often a level that takes hours looks at the tenant again. */
const LOOK_EVERY_MS = 1_000;

/**
 * The run's control, which also looks at the tenant, at most once a second: a level may take hours,
 * and a purge may be held by the throttle between two batches.
 */
export function watchTenant(run: Run, meter: ProgressMeter): RunControl {
  if (!isWatched(run)) return run.control;
  let lookedAt = performance.now();
  return {
    ...run.control,
    worker: run.control.worker,
    stopReason: async () => {
      const reason = await run.control.stopReason();
      if (reason !== null) return reason;
      if (performance.now() - lookedAt >= LOOK_EVERY_MS) {
        lookedAt = performance.now();
        await refuseStanding(run, meter);
      }
      return null;
    },
    onProgress: (progress) => run.control.onProgress(progress),
    onMilestone: (text) => run.control.onMilestone(text),
  };
}

/** Tells people what became of the mark; the ledger has it already. Idempotent. */
export async function tellMark(run: Pick<Run, 'parts' | 'control' | 'purge'>): Promise<void> {
  const { parts, purge, control } = run;
  const outcome = await parts.quiesce.outcome(purge.id).catch(() => null);
  const text = textOf(outcome);
  if (text === null) return;
  control.onMilestone(text);
  parts.log.warn({ purgeId: purge.id, mark: outcome }, text);
}

function textOf(outcome: Awaited<ReturnType<Run['parts']['quiesce']['outcome']>>): string | null {
  switch (outcome) {
    case 'put back':
      return 'Nothing was deleted: the tenant no longer bears the mark of the purge';
    case 'stays':
      return 'Rows are gone or changed: the tenant still bears the mark of the purge';
    case 'failed':
      return 'The mark of the purge could not be taken off the tenant; see its events';
    case 'gone':
      return 'The tenant bore the mark of the purge no more';
    case null:
      return null;
    default:
      return outcome satisfies never;
  }
}

const isWatched = ({ plan }: Run): boolean =>
  plan.hold !== undefined || plan.quiesce?.kind === 'column';

function withRowsGone(error: unknown, meter: ProgressMeter): unknown {
  if (!(error instanceof PurgeError)) return error;
  const rows = meter.rowsDeleted;
  const gone =
    rows === 0 ? 'Nothing was deleted.' : `${rows} rows were deleted before; nothing more is.`;
  return new PurgeError(error.code, `${error.message} ${gone}`, {
    details: { ...error.details, rowsDeleted: rows },
    cause: error.cause,
    remedy: error.remedy,
  });
}
