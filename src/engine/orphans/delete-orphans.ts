import { PurgeError, toPurgeError } from '../../domain/errors.ts';
import type { OrphanDeletion } from '../../domain/orphans.ts';
import type { OrphanRun } from '../../postgres/ledger/orphan-runs.ts';
import type { DeleteParts, DeleteRequest } from './delete-parts.ts';
import { DeletingPass } from './deleting-pass.ts';
import { lostRun } from './orphan-archive.ts';
import { writeOrphanManifest } from './orphan-manifest.ts';
import type { OrphanTally } from './tally.ts';

export type { DeleteParts } from './delete-parts.ts';

/**
 * Deletes the keys of the confirmed tenants, in one pass. Each pipeline's keys are durable in the archive,
 * and the ledger knows, before they are unlinked; between the two the tenant table is asked again, and
 * once more afterwards: keys of a tenant that was created in that moment are put back. A run that is
 * resumed passes over the whole keyspace: tenants that were confirmed only now may have keys anywhere,
 * and what went before costs nothing any more.
 * @returns how far it came; not done where a stop was asked for, the fleet's too
 * @throws PurgeError ARCHIVE_FAILED, REDIS_UNREACHABLE, TIMED_OUT, STALE_FENCE; the run can be resumed
 */
export async function deleteOrphans(
  parts: DeleteParts,
  request: DeleteRequest,
): Promise<{ readonly deletion: OrphanDeletion; readonly tally: OrphanTally }> {
  const { run, isResumed } = request;
  const pass = new DeletingPass(parts, request);
  try {
    const isDone = await pass.run();
    if (isDone) {
      // Before the end: a run that has ended has its manifest, whatever dies in between.
      await writeManifest(parts, run, 'completed');
      const isEnded = await parts.runs.finish(run, request.operator, pass.left);
      if (!isEnded) throw lostRun(run);
    } else {
      await letGo(parts, request, pass, null);
      await writeManifest(parts, run, 'interrupted');
    }
    const { deleted, putBack, left, tally } = pass;
    const location = parts.store.location(run.folder);
    const deletion = { runId: run.id, deleted, putBack, left, isResumed, isDone, location };
    return { deletion, tally };
  } catch (error) {
    // What has failed may be the ledger itself.
    await letGo(parts, request, pass, toPurgeError(error).code).catch(() => undefined);
    throw error;
  } finally {
    await pass.close();
  }
}

/** Books what went and lets the next one take over at once. */
async function letGo(
  { runs }: DeleteParts,
  { run, operator }: DeleteRequest,
  pass: DeletingPass,
  error: string | null,
): Promise<void> {
  await pass.bookRest();
  await runs.release(run);
  const details = { run: run.id, keys: pass.deleted, ...(error === null ? {} : { error }) };
  await runs.note('orphans interrupted', operator, details);
}

async function writeManifest(
  { runs, store }: DeleteParts,
  run: OrphanRun,
  status: 'completed' | 'interrupted',
): Promise<void> {
  const chunks = await runs.chunks(run.id);
  await writeOrphanManifest(store, run, { chunks, status });
}

/** The fleet is stopped: nothing is begun. */
export const fleetIsStopped = (): PurgeError =>
  new PurgeError('STATUS_CONFLICT', 'The fleet is paused: no keys are deleted.', {
    remedy: 'Release it with `tenant-purge resume --all`, then run the same command.',
  });
