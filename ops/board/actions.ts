import type { BeforeHookResult, HookContext } from '@bull-board/api/typings/app';
import { isLive } from '../../src/domain/purge.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { jobIdOf as currentJobOf } from '../../src/queue/contracts.ts';
import { recordRefusal } from './audit.ts';
import { purgeOfJob } from './jobs.ts';
import type { BoardParts } from './parts.ts';

/** Why an action is refused and what to do instead; null where it may go on. */
type Refusal = string | null;
type Judge = (parts: BoardParts, request: HookContext['request']) => Refusal | Promise<Refusal>;

/** States in which nobody waits for the job any more. */
const ENDED = ['completed', 'failed'];

const allow: Judge = () => null;
const refuse =
  (text: string): Judge =>
  () =>
    text;

const noNewJobs = refuse(
  'A purge begins in the ledger, not with a job. Enqueue it: tenant-purge enqueue --tenant ID',
);
const noRemovals = refuse(
  'The ledger would add these jobs again. To end the purges: tenant-purge cancel --all',
);
const retriesAreEnqueued: Judge = async (parts, request) => {
  const purge = await purgeOf(parts, request);
  return `An ended purge is not run again; a new one goes on where it stopped: tenant-purge enqueue --tenant ${purge?.tenantId ?? 'ID'}`;
};

/**
 * Bull Board's actions that change something. The ledger is the truth: what it would not notice, or
 * would undo behind the operator's back, is refused with the command that does it.
 */
const JUDGES: Readonly<Record<string, Judge>> = {
  'put /api/queues/:queueName/pause': allow,
  'put /api/queues/:queueName/resume': allow,
  'put /api/queues/:queueName/promote': judgePromoteAll,
  'put /api/queues/:queueName/:jobId/promote': judgePromote,
  'put /api/queues/:queueName/clean/:queueStatus': judgeCleanAll,
  'put /api/queues/:queueName/:jobId/clean': judgeClean,
  'put /api/queues/:queueName/:jobId/retry': retriesAreEnqueued,
  'put /api/queues/:queueName/retry/:queueStatus': retriesAreEnqueued,
  'post /api/queues/:queueName/add': noNewJobs,
  'put /api/queues/:queueName/empty': noRemovals,
  'put /api/queues/:queueName/obliterate': noRemovals,
  'patch /api/queues/:queueName/:jobId/update-data': refuse(
    'A job only names its purge; what is purged stands in the ledger. To purge another tenant: tenant-purge enqueue --tenant ID',
  ),
  'patch /api/queues/:queueName/:jobId/delay': refuse(
    'When a purge is due stands in the ledger. Enqueue it with its delay: tenant-purge enqueue --tenant ID --delay 24h',
  ),
  'put /api/queues/:queueName/concurrency': refuse(
    'A limit set here is lost with Redis. Set worker.slots in the configuration, and the number of workers.',
  ),
};

/** Also holds for what a later Bull Board brings: unknown means refuse. */
const NOT_OURS = 'This board does not do that to purges. See what there is: tenant-purge --help';

/** Bull Board asks this before each of its actions; the message is shown to the operator. */
export async function judgeAction(
  parts: BoardParts,
  { method, route, request }: HookContext,
): Promise<BeforeHookResult> {
  if (method === 'get') return { allow: true };
  const refusal = await (JUDGES[`${method} ${route}`] ?? refuse(NOT_OURS))(parts, request);
  if (refusal === null) return { allow: true };
  await recordRefusal(parts, {
    asked: `${method.toUpperCase()} ${route}`,
    reason: refusal,
    purgeId: (await purgeOf(parts, request))?.id ?? null,
  });
  return { allow: false, status: 403, message: refusal };
}

/** A job promoted while everything is stopped would only come back. */
async function judgePromoteAll(parts: BoardParts): Promise<Refusal> {
  const { stopped, changedBy } = await parts.commands.readControl();
  if (!stopped) return null;
  const who = changedBy === null ? '' : ` by ${changedBy}`;
  return `Everything was paused${who}: nothing would run. Release it first: Resume, or tenant-purge resume --all`;
}

/** Promote resumes a paused purge and hurries an interrupted one; a purge not yet due stays so. */
async function judgePromote(parts: BoardParts, request: HookContext['request']): Promise<Refusal> {
  const purge = await purgeOf(parts, request);
  if (purge?.status === 'scheduled' && purge.dueAt.getTime() > Date.now()) {
    return `The purge is due at ${purge.dueAt.toISOString()}, as it was asked for. To have it sooner: tenant-purge cancel ${purge.id}, then enqueue the tenant without --delay`;
  }
  return judgePromoteAll(parts);
}

function judgeCleanAll(_: BoardParts, request: HookContext['request']): Refusal {
  if (ENDED.includes(String(request.params['queueStatus']))) return null;
  return 'The ledger would add these jobs again: their purges have not ended. To end them: tenant-purge cancel --all';
}

/** The job of a live purge would be added again; any other only shows what has been. */
async function judgeClean(parts: BoardParts, request: HookContext['request']): Promise<Refusal> {
  const purge = await purgeOf(parts, request);
  if (purge === null || !isLive(purge.status)) return null;
  if (jobIdOf(request) !== currentJobOf(purge.id, purge.jobNumber)) return null;
  return `The ledger would add the job again: its purge is ${purge.status}. To end it: tenant-purge cancel ${purge.id}`;
}

const purgeOf = (parts: BoardParts, request: HookContext['request']): Promise<PurgeRecord | null> =>
  purgeOfJob(parts, jobIdOf(request));

const jobIdOf = (request: HookContext['request']): string => String(request.params['jobId'] ?? '');
