import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { JobStatus, Status } from '@bull-board/api/typings/app';
import type { PurgeQueue } from '../../src/queue/purge-queue.ts';

/** The purges' queue as Bull Board sees it. */
export class PurgeQueueAdapter extends BullMQAdapter {
  readonly #purgeQueue: PurgeQueue;

  constructor(purgeQueue: PurgeQueue) {
    super(purgeQueue.bull, {
      // An ended purge's job has nothing to do any more; see `actions.ts`.
      allowRetries: false,
      description: 'One job a purge. Pause stops every delete within one batch.',
    });
    this.#purgeQueue = purgeQueue;
  }

  override getStatuses(): Status[] {
    return super.getStatuses().filter(isUsed);
  }

  override getJobStatuses(): JobStatus[] {
    return super.getJobStatuses().filter(isUsed);
  }

  /** Bounded: the click fails with a message where Redis is away, instead of hanging. */
  override pause(): Promise<void> {
    return this.#purgeQueue.pause();
  }

  override resume(): Promise<void> {
    return this.#purgeQueue.resume();
  }
}

/** Purges have no children and no priorities; without those tabs Delayed, where paused purges are, fits. */
const isUsed = (status: Status): boolean =>
  status !== 'waiting-children' && status !== 'prioritized';
