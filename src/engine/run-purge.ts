import type { PurgeError } from '../domain/errors.ts';
import type { PurgeId, WorkerId } from '../domain/ids.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { AwaitedPurges } from '../postgres/ledger/awaited.ts';
import { whyOtherPlace } from './archive/archive-place.ts';
import { openRunArchive, type RunArchive } from './archive/run-archive.ts';
import { sealArchive } from './archive/seal-archive.ts';
import { whyDescendantRemains } from './descendant-remains.ts';
import type { EngineParts, Run, RunControl } from './parts.ts';
import { ProgressMeter } from './progress.ts';
import { makePurgeReport } from './purge-report.ts';
import { settle } from './settle.ts';
import { deleteLevels } from './stages/levels.ts';
import { preflight } from './stages/preflight.ts';
import { quiesce, tellMark, watchTenant } from './stages/quiesce.ts';
import { seal } from './stages/seal.ts';
import { isSmall, purgeAtOnce } from './stages/small-purge.ts';
import { whyNotWritten } from './stop.ts';

/** A waiting purge looks again this often, should nobody wake its job. */
const SWEEP_LOOK_MS = 10_000;
const NOT_NOW_MS = 5_000;
const DUE_LOOK_MIN_MS = 500;
/** One that waits for others looks again after a quarter of the time it has waited, up to this. */
const AWAITED_LOOK_MAX_MS = 10_000;

/**
 * Runs one purge as far as it gets: claim, preflight, levels, Redis, verify, seal. Safe to call twice
 * and by two workers at once: the second claim takes the fence, and the first can commit nothing
 * more. Whatever kills it, the next call goes on from the last commit. Never throws for a fault of
 * the purge: the ledger then holds how it ended, and so does the outcome.
 */
export async function runPurge(
  parts: EngineParts,
  purgeId: PurgeId,
  control: RunControl,
): Promise<Outcome> {
  const elsewhere = await whyElsewhere(parts, purgeId);
  if (elsewhere !== null && (await wantsWork(parts, purgeId))) {
    parts.log.error({ purgeId, code: elsewhere.code }, elsewhere.message);
    control.onMilestone(`Not claimed by ${control.worker}: ${elsewhere.message}`);
    return { kind: 'not-now', lookAgainInMs: NOT_NOW_MS };
  }
  const outcome = await drive(parts, purgeId, control);
  if (parts.archive !== null && elsewhere === null && hasEnded(outcome)) {
    await sealArchive(parts, parts.archive, purgeId);
  }
  return outcome;
}

const hasEnded = ({ kind }: Outcome): boolean =>
  kind === 'completed' ||
  kind === 'incomplete' ||
  kind === 'cancelled' ||
  kind === 'failed' ||
  kind === 'refused';

async function drive(parts: EngineParts, purgeId: PurgeId, control: RunControl): Promise<Outcome> {
  const claim = await parts.purges.claim(purgeId, control.worker);
  switch (claim.kind) {
    case 'unknown':
      return { kind: 'superseded', reason: `the ledger has no purge ${purgeId}` };
    case 'not-claimable':
      return claim.stopped && claim.purge.status !== 'paused'
        ? { kind: 'not-now', lookAgainInMs: NOT_NOW_MS }
        : await declined(parts, claim, control.worker);
    case 'claimed':
      await parts.failpoint('claimed');
      return await driveClaimed(parts, claim, control);
    default:
      return claim satisfies never;
  }
}

/** Null where this process may write the purge's archive, or there is none yet. */
const whyElsewhere = async (parts: EngineParts, purgeId: PurgeId): Promise<PurgeError | null> =>
  parts.archive === null ? null : whyOtherPlace(parts.archive, purgeId);

/** One that is paused or has ended is not claimed; its job is parked or ends wherever it comes to. */
async function wantsWork({ purges }: EngineParts, purgeId: PurgeId): Promise<boolean> {
  const purge = await purges.find(purgeId);
  return purge !== null && (purge.status === 'running' || isWaitingStatus(purge.status));
}

type NotClaimable = Extract<
  Awaited<ReturnType<EngineParts['purges']['claim']>>,
  { kind: 'not-claimable' }
>;

/** What becomes of a job whose purge cannot be claimed. */
async function declined(
  parts: EngineParts,
  { purge, awaited }: NotClaimable,
  worker: WorkerId,
): Promise<Outcome> {
  if (purge.status === 'paused') return { kind: 'paused', parked: purge.parked };
  if (purge.status === 'queued' && purge.stage === 'redis') return awaitSweep(parts);
  if (purge.status === 'pausing' || purge.status === 'cancelling') {
    // Its holder will settle it, or the reconciler will.
    return { kind: 'not-now', lookAgainInMs: NOT_NOW_MS };
  }
  if (isWaitingStatus(purge.status) && awaited.live + awaited.endedTotal > 0) {
    return await awaitDescendants(parts, purge, awaited, worker);
  }
  if (isWaitingStatus(purge.status)) {
    // Promoted before its time, perhaps with many others: the delay that was asked for stands. The
    // server's clock decides; this host's only says when to look again.
    const dueInMs = purge.dueAt.getTime() - Date.now();
    return { kind: 'not-now', lookAgainInMs: Math.max(dueInMs, DUE_LOOK_MIN_MS) };
  }
  if (purge.status === 'cancelled') {
    // Cancelled while no worker held it: its job ends by saying what is gone and what remains.
    return { kind: 'cancelled', report: await makePurgeReport(parts, purge, purge.residue) };
  }
  if (purge.status === 'completed') {
    // The sweep that served it has sealed it; or this is a second job, which may show the report too.
    return { kind: 'completed', report: await makePurgeReport(parts, purge, []) };
  }
  return { kind: 'superseded', reason: `purge is ${purge.status}` };
}

/**
 * A tenant goes after all of those below it. One of them that ended otherwise than completed is still
 * there, and would be at every later look.
 */
async function awaitDescendants(
  parts: EngineParts,
  purge: PurgeRecord,
  awaited: AwaitedPurges,
  worker: WorkerId,
): Promise<Outcome> {
  const remains = whyDescendantRemains(purge, awaited);
  if (remains !== null) {
    const error = remains.toReport();
    const refused = await parts.purges.refuseUnclaimed(purge, error, worker);
    if (refused !== null) {
      parts.log.error({ purgeId: purge.id, code: error.code }, error.message);
      return { kind: 'refused', error };
    }
    // A command came between the look and the write: look again.
    return { kind: 'not-now', lookAgainInMs: DUE_LOOK_MIN_MS };
  }
  const waitedMs = Date.now() - purge.dueAt.getTime();
  const lookAgainInMs = Math.min(AWAITED_LOOK_MAX_MS, Math.max(DUE_LOOK_MIN_MS, waitedMs / 4));
  return { kind: 'not-now', lookAgainInMs: Math.ceil(Math.max(lookAgainInMs, -waitedMs)) };
}

const isWaitingStatus = (status: PurgeRecord['status']): boolean =>
  status === 'queued' || status === 'scheduled' || status === 'interrupted';

type Claimed = Extract<Awaited<ReturnType<EngineParts['purges']['claim']>>, { kind: 'claimed' }>;

async function driveClaimed(
  parts: EngineParts,
  { purge, fence }: Claimed,
  unmarked: RunControl,
): Promise<Outcome> {
  const control = withFence(unmarked, fence);
  const meter = new ProgressMeter(control, { ...purge, fence: fence.epoch });
  let archive: RunArchive | null = null;
  try {
    const campaign = await parts.campaigns.get(purge.campaignId);
    const plan = await preflight(parts, purge, campaign);
    await parts.failpoint('preflight-done');
    archive = await openRunArchive({ parts, purge, fence, campaign });
    const unwatched: Run = { parts, control, purge, fence, campaign, plan, archive };
    const run: Run = { ...unwatched, control: watchTenant(unwatched, meter) };
    if (purge.stage === 'verify' || purge.stage === 'seal' || purge.swept) {
      return await seal(run, meter);
    }
    const rowsLeft = Math.max(0, purge.rowsTotal - purge.rowsDeleted);
    control.onMilestone(`Claimed by ${fence.worker}; ${rowsLeft} rows to go`);
    await quiesce(run, meter);
    const atOnce = isSmall(run) && (await purgeAtOnce(run, meter));
    if (!atOnce) await deleteByLevels(run, meter);
    await parts.failpoint('rows-done');
    control.onMilestone(`Rows are gone: ${meter.rowsDeleted}`);
    if (parts.sweeper === null) return await seal(run, meter);
    return awaitSweep(parts);
  } catch (error) {
    const outcome = await settle({ parts, control, purge, fence }, meter, error);
    await tellMark({ parts, control, purge });
    return outcome;
  } finally {
    await archive?.close();
  }
}

/** The job's log says of each line whose it is: it takes them also from one who has lost the purge. */
const withFence = (control: RunControl, { epoch }: Claimed['fence']): RunControl => ({
  worker: control.worker,
  stopReason: () => control.stopReason(),
  onProgress: (progress) => control.onProgress(progress),
  onMilestone: (text) => control.onMilestone(`${text} (fence ${epoch})`),
});

async function deleteByLevels(run: Run, meter: ProgressMeter): Promise<void> {
  await deleteLevels(run, meter);
  const next = run.parts.sweeper === null ? 'running' : 'queued';
  const written = await run.parts.purges.write(
    run.fence,
    next,
    next === 'queued'
      ? { stage: 'redis', level: null, rowsDeleted: meter.rowsDeleted, waitsForSweep: true }
      : { stage: 'verify', level: null, rowsDeleted: meter.rowsDeleted },
    { kind: 'rows deleted', details: { rows: meter.rowsDeleted } },
  );
  // Another status: a stop was asked for the end of the last level.
  if (written?.status !== next) throw await whyNotWritten(run);
}

/**
 * The purge waits as `queued` for a pass that serves all; a worker slot is never held by waiting. The
 * sweeper wakes its job; the delay is for the case that it dies.
 */
function awaitSweep(parts: EngineParts): Outcome {
  parts.sweeper?.knock();
  return { kind: 'awaiting-sweep', lookAgainInMs: SWEEP_LOOK_MS };
}
