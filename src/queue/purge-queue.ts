import { type JobsOptions, Queue } from 'bullmq';
import type { PurgeRecord } from '../domain/records.ts';
import { redisTls } from '../redis/tls.ts';
import {
  isParkingDelay,
  type JobData,
  jobIdOf,
  KEEP_JOBS_MAX,
  KEEP_LOGS_MAX,
  PARK_MS,
} from './contracts.ts';
import { priorityOf } from './give-way.ts';

export interface QueueAddress {
  readonly url: string;
  readonly name: string;
  readonly prefix: string;
}

/**
 * What came of ringing for a job: it was `woken`, it is in line anyway (`awake`), there is none. A
 * `busy` one is in a worker's hands, and may be put off by what that worker saw before.
 */
export type Ring = 'woken' | 'awake' | 'busy' | 'no-job';

/** What the queue does with a purge's job. */
export type JobPlace = 'waiting' | 'active' | 'delayed' | 'parked' | 'none';

/** Jobs per command to Redis. */
const CHUNK = 1_000;
/** A paused flag is asked before every batch; while Redis is away, the last answer stands. */
const PAUSED_ANSWER_MAX_MS = 250;
/** A job may be put off between a look at it and the next. */
const RING_TRIES_MAX = 3;
/** A job goes from active to delayed within milliseconds of its purge. */
const WAKE_EVERY_MS = 50;
const WAKE_TRIES_MAX = 40;
/** Operators' commands do not hang on a Redis that is away: the ledger already holds them. */
const COMMAND_MAX_MS = 5_000;
const ADD_MAX_MS = 30_000;

/** The queue's side of purges: their jobs. Redis is a doorbell and a display, the ledger the truth. */
export class PurgeQueue {
  readonly bull: Queue<JobData>;
  #lastPaused = false;

  constructor(address: QueueAddress, onError: (error: Error) => void) {
    this.bull = new Queue<JobData>(address.name, {
      connection: { url: address.url, ...redisTls(address.url), maxRetriesPerRequest: null },
      prefix: address.prefix,
      defaultJobOptions: {
        attempts: 1,
        keepLogs: KEEP_LOGS_MAX,
        removeOnComplete: { count: KEEP_JOBS_MAX },
        removeOnFail: { count: KEEP_JOBS_MAX },
      },
    });
    this.bull.on('error', onError);
  }

  /** Adds the purges' jobs. Adding a job that exists already changes nothing. */
  async add(purges: readonly AddedPurge[]): Promise<void> {
    for (let start = 0; start < purges.length; start += CHUNK) {
      const jobs = purges.slice(start, start + CHUNK).map((purge) => ({
        name: purge.tenantLabel,
        data: { v: 1 as const, purgeId: purge.id },
        opts: jobOptions(purge),
      }));
      await bounded(this.bull.addBulk(jobs), ADD_MAX_MS, 'the jobs could not be added');
    }
  }

  /** Where the purge's current job is. */
  async place(purge: Pick<PurgeRecord, 'id' | 'jobNumber'>): Promise<JobPlace> {
    const job = await this.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
    if (job === undefined) return 'none';
    const state = await job.getState();
    switch (state) {
      case 'active':
        return 'active';
      case 'delayed':
        return isParkingDelay(job.delay) ? 'parked' : 'delayed';
      case 'waiting':
      case 'prioritized':
      case 'waiting-children':
        return 'waiting';
      case 'completed':
      case 'failed':
      case 'unknown':
        return 'none';
      default:
        return state satisfies never;
    }
  }

  /** Rings the bell for a delayed or parked job. */
  async promote(purge: Pick<PurgeRecord, 'id' | 'jobNumber'>): Promise<Ring> {
    const job = await this.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
    if (job === undefined) return 'no-job';
    for (let tries = 1; ; tries += 1) {
      try {
        await job.promote();
        return 'woken';
      } catch (error) {
        switch (await job.getState()) {
          case 'waiting':
          case 'prioritized':
            return 'awake';
          case 'active':
            return 'busy';
          // It was put off between the two looks; or Redis did not take the first.
          case 'delayed':
            if (tries >= RING_TRIES_MAX) throw error;
            break;
          default:
            return 'no-job';
        }
      }
    }
  }

  /**
   * Rings for a job that only has to show that its purge is complete, and puts it ahead of a thousand
   * that have not begun. The purge may be faster than its job: one that is still on its way to the
   * delayed ones is waited for, or it would sleep through the bell.
   */
  async wakeFirst(purge: Pick<PurgeRecord, 'id' | 'jobNumber'>): Promise<void> {
    for (let tries = 1; tries <= WAKE_TRIES_MAX; tries += 1) {
      const job = await this.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
      if (job === undefined) return;
      try {
        await job.promote();
        await job.changePriority({ priority: 0, lifo: true });
        return;
      } catch {
        if ((await job.getState()) !== 'active') return;
        await new Promise((resolve) => setTimeout(resolve, WAKE_EVERY_MS));
      }
    }
  }

  /** Gives a parked job another year once half of its year is over. */
  async renewPark(purge: Pick<PurgeRecord, 'id' | 'jobNumber'>): Promise<void> {
    const job = await this.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
    if (job === undefined) return;
    const parkedAt = job.processedOn ?? job.timestamp;
    if (Date.now() - parkedAt > PARK_MS / 2) await job.changeDelay(PARK_MS);
  }

  /**
   * Priority of the job that would be taken next; null where none waits, or Redis gives no answer.
   * At most three commands.
   */
  async firstInLine(): Promise<number | null> {
    const look = async (): Promise<number | null> => {
      if ((await this.bull.getWaitingCount()) > 0) return 0;
      const [first] = await this.bull.getPrioritized(0, 0);
      return first?.priority ?? null;
    };
    const answer = look().catch(() => null);
    return orAfter(answer, PAUSED_ANSWER_MAX_MS, () => null);
  }

  async pause(): Promise<void> {
    await bounded(this.bull.pause(), COMMAND_MAX_MS, 'the queue could not be paused');
  }

  async resume(): Promise<void> {
    await bounded(this.bull.resume(), COMMAND_MAX_MS, 'the queue could not be resumed');
  }

  /**
   * Also true for a bare `queue.pause()` from any script, which the ledger does not know of. While Redis
   * does not answer, or only with an error (BUSY, LOADING, MASTERDOWN), the last answer stands: that is
   * no fault of the purge that asks.
   */
  async isPaused(): Promise<boolean> {
    const answer = this.bull.isPaused().then(
      (paused) => {
        this.#lastPaused = paused;
        return paused;
      },
      () => this.#lastPaused,
    );
    return orAfter(answer, PAUSED_ANSWER_MAX_MS, () => this.#lastPaused);
  }

  async close(): Promise<void> {
    await this.bull.close();
  }
}

/** A purge that wants a job. */
export interface AddedPurge {
  readonly id: PurgeRecord['id'];
  readonly tenantLabel: string;
  readonly jobNumber: number;
  readonly delayMs: number;
  /** Rows it has to delete, for its turn; default: few. */
  readonly rows?: number;
}

function jobOptions(purge: AddedPurge): JobsOptions {
  const priority = priorityOf(purge.rows ?? 0);
  return {
    jobId: jobIdOf(purge.id, purge.jobNumber),
    ...(purge.delayMs > 0 ? { delay: purge.delayMs } : {}),
    ...(priority > 0 ? { priority } : {}),
  };
}

/** The answer, or another one once it has taken too long: while Redis is away it never comes. */
async function orAfter<Answer>(
  answer: Promise<Answer>,
  limitMs: number,
  instead: () => Answer,
): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(instead()), limitMs);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

async function bounded(work: Promise<unknown>, limitMs: number, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: Redis gave no answer`)), limitMs);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
