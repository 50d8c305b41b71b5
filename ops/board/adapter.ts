import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { JobCleanStatus, JobStatus, Status } from '@bull-board/api/typings/app';
import type { CommandName } from '../../src/postgres/ledger/commands.ts';
import { recordClick } from './audit.ts';
import { type CommandTarget, commandAsVisitor, FLEET } from './commands.ts';
import { purgeIdOf, purgeOfJob } from './jobs.ts';
import { fleetPath, purgePath } from './pages/links.ts';
import type { BoardParts } from './parts.ts';

/** Statuses in which a job waits for an operator or for its next try: Promote means resume. */
const RESUMABLE = ['paused', 'pausing', 'interrupted'];

/**
 * The purges' queue as Bull Board sees it. Its buttons go through the ledger, which is the truth;
 * `actions.ts` has refused before what the ledger cannot do.
 */
export class PurgeQueueAdapter extends BullMQAdapter {
  readonly #parts: BoardParts;

  constructor(parts: BoardParts) {
    super(parts.queue.bull, {
      // An ended purge's job has nothing to do any more; see `actions.ts`.
      allowRetries: false,
      description: 'One job a purge. Pause stops every purge within one batch, like pause --all.',
      externalJobUrl: ({ id }) => {
        const purgeId = purgeIdOf(String(id ?? ''));
        return purgeId === null
          ? { displayText: 'Fleet', href: fleetPath }
          : { displayText: 'Pause, cancel, progress →', href: purgePath(purgeId) };
      },
    });
    this.#parts = parts;
  }

  override getStatuses(): Status[] {
    return super.getStatuses().filter(isUsed);
  }

  override getJobStatuses(): JobStatus[] {
    return super.getJobStatuses().filter(isUsed);
  }

  /** Also while only the ledger holds the stop, e.g. after a FLUSHALL: nothing can run then. */
  override async isPaused(): Promise<boolean> {
    if (await super.isPaused()) return true;
    return (await this.#parts.commands.readControl()).stopped;
  }

  override pause(): Promise<void> {
    return this.#command('pause', FLEET);
  }

  override resume(): Promise<void> {
    return this.#command('resume', FLEET);
  }

  override promoteAll(): Promise<void> {
    return this.#command('resume', { selection: { kind: 'live' }, fleet: false });
  }

  override async clean(status: JobCleanStatus, graceTimeMs: number): Promise<void> {
    await recordClick(this.#parts, { kind: 'clean asked', details: { jobs: status } });
    await super.clean(status, graceTimeMs);
  }

  /** The job with the two verbs of Bull Board's that must not pass the ledger by. */
  override async getJob(id: string): Promise<FoundJob> {
    const job = await super.getJob(id);
    if (job === undefined) return job;
    const promote = job.promote.bind(job);
    const remove = job.remove.bind(job);
    return Object.assign(job, {
      promote: () => this.#promote(id, promote),
      remove: () => this.#clean(id, remove),
    });
  }

  async #promote(jobId: string, promote: () => Promise<void>): Promise<void> {
    const purge = await purgeOfJob(this.#parts, jobId);
    if (purge !== null && RESUMABLE.includes(purge.status)) {
      const selection = { kind: 'purge', id: purge.id } as const;
      await this.#command('resume', { selection, fleet: false });
      return;
    }
    await recordClick(this.#parts, { kind: 'promote asked', purgeId: purge?.id ?? null });
    await promote();
  }

  async #clean(jobId: string, remove: () => Promise<void>): Promise<void> {
    const purgeId = (await purgeOfJob(this.#parts, jobId))?.id ?? null;
    await recordClick(this.#parts, { kind: 'clean asked', purgeId, details: { job: jobId } });
    await remove();
  }

  async #command(name: CommandName, target: CommandTarget): Promise<void> {
    const outcome = await commandAsVisitor(this.#parts, { name, target });
    if (outcome?.drained === true && outcome.queueError === null) return;
    const why = outcome?.queueError ?? 'a batch that began before may still be in flight';
    throw new Error(
      `${name} was asked for, and not confirmed in time: ${why}. How things stand: ${fleetPath}`,
    );
  }
}

type FoundJob = Awaited<ReturnType<BullMQAdapter['getJob']>>;

/** Purges have no children and no priorities; without those tabs Delayed, where paused purges are, fits. */
const isUsed = (status: Status): boolean =>
  status !== 'waiting-children' && status !== 'prioritized';
