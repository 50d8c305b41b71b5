import { type Job, Worker } from 'bullmq';
import { asWorkerId, type PurgeId } from '../domain/ids.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { EngineLog, RunControl } from '../engine/parts.ts';
import { redisTls } from '../redis/tls.ts';
import { type JobData, jobDataSchema, jobNumberOf, purgeIdOf } from './contracts.ts';
import { givesWay, type TakenSlot } from './give-way.ts';
import { JobDisplay } from './job-display.ts';
import { applyOutcome } from './outcome-verbs.ts';
import type { PurgeQueue, QueueAddress } from './purge-queue.ts';

export interface PurgeWorkerOptions {
  readonly address: QueueAddress;
  readonly queue: PurgeQueue;
  /** Workers in this process; each takes one job at a time. */
  readonly slots: number;
  readonly lockMs: number;
  /** `host:pid`; the slot's number is added. */
  readonly identity: string;
  readonly runPurge: (purgeId: PurgeId, control: RunControl) => Promise<Outcome>;
  /** The number of the purge's current job in the ledger; null for a purge it has not. */
  readonly currentJobNumber: (purgeId: PurgeId) => Promise<number | null>;
  /** A job arrived although its purge is paused and was parked: somebody promoted it. */
  readonly resumePromoted: (purgeId: PurgeId) => Promise<void>;
  /** The purge's job has been parked; confirmed once it is seen among the delayed ones. */
  readonly confirmParked: (purgeId: PurgeId) => void;
  readonly log: EngineLog;
}

export interface PurgeWorker {
  /** Resolves when every worker is connected to the queue. */
  ready(): Promise<void>;
  /** Stops taking jobs, lets each finish its batch and give its job back; then closes. */
  stop(): Promise<void>;
}

/** What goes wrong outside a purge (ledger away in mid-claim) is tried again after this. */
const TRY_AGAIN_MS = 2_000;
/** A purge that gives way has first had its slot for this long; so often it looks. */
const TURN_MIN_MS = 3_000;
const LOOK_AT_LINE_EVERY_MS = 1_000;
/**
 * The queue counts stalls for ever and fails a job at its limit; two crashes of a machine are no
 * reason to give up a purge. The ledger judges.
 */
const STALLED_COUNT_MAX = 1_000;

/**
 * N workers of concurrency 1. One worker of concurrency N loses track of the lock of a job that is
 * put back and taken again by another of its slots, and then runs it twice.
 */
export function startPurgeWorker(options: PurgeWorkerOptions): PurgeWorker {
  const shutdown = new AbortController();
  const turns = new Turns(options);
  const workers = Array.from({ length: options.slots }, (_, slot) => {
    const worker = new Worker<JobData>(
      options.address.name,
      async (job, token) =>
        turns.take({ slot, priority: job.priority }, (giveWay) =>
          processJob(options, shutdown.signal, { slot, giveWay }, job, token ?? ''),
        ),
      {
        connection: {
          url: options.address.url,
          ...redisTls(options.address.url),
          maxRetriesPerRequest: null,
        },
        prefix: options.address.prefix,
        concurrency: 1,
        lockDuration: options.lockMs,
        stalledInterval: options.lockMs,
        maxStalledCount: STALLED_COUNT_MAX,
      },
    );
    worker.on('error', (error) => options.log.warn({ err: error }, 'queue connection'));
    return worker;
  });
  return {
    async ready() {
      await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    },
    async stop() {
      shutdown.abort();
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}

async function processJob(
  options: PurgeWorkerOptions,
  shutdown: AbortSignal,
  { slot, giveWay }: { readonly slot: number; readonly giveWay: () => Promise<boolean> },
  job: Job<JobData>,
  token: string,
): Promise<unknown> {
  const display = new JobDisplay(job);
  const control: RunControl = {
    worker: asWorkerId(`${options.identity}:${slot}`),
    stopReason: async () => {
      if (shutdown.aborted) return 'the worker shuts down';
      if (await options.queue.isPaused()) return 'the queue is paused';
      return (await giveWay()) ? 'it gives way to smaller purges' : null;
    },
    onProgress: (progress) => display.progress(progress),
    onMilestone: (text) => display.milestone(text),
  };
  const outcome = await runJob(options, job, control);
  display.close(outcome);
  const purgeId = purgeOf(job);
  if (outcome.kind === 'paused' && purgeId !== null) options.confirmParked(purgeId);
  return applyOutcome(job, token, outcome);
}

/**
 * By the job's id, which cannot be edited: data that names another purge would take that one from its
 * holder and leave this one without a job. Null: not a job of this program.
 */
function purgeOf(job: Job<JobData>): PurgeId | null {
  const named = purgeIdOf(job.id ?? '');
  if (named !== null) return named;
  const data = jobDataSchema.safeParse(job.data);
  return data.success ? data.data.purgeId : null;
}

async function runJob(
  options: PurgeWorkerOptions,
  job: Job<JobData>,
  control: RunControl,
): Promise<Outcome> {
  const purgeId = purgeOf(job);
  if (purgeId === null) {
    return { kind: 'superseded', reason: 'not a job of this program: its data has another form' };
  }
  try {
    if (await isReplaced(options, job, purgeId)) {
      return { kind: 'superseded', reason: `a later job carries purge ${purgeId}` };
    }
    const outcome = await options.runPurge(purgeId, control);
    if (outcome.kind !== 'paused' || !outcome.parked) return outcome;
    await options.resumePromoted(purgeId);
    return await options.runPurge(purgeId, control);
  } catch (error) {
    options.log.error({ purgeId, err: error }, 'the run failed outside the purge; tried again');
    return { kind: 'not-now', lookAgainInMs: TRY_AGAIN_MS };
  }
}

/**
 * Two reconcilers side by side, the lock of one lost, may each replace a job that the other was about
 * to add: the later one carries the purge, and the earlier would only take it out of its hands. A number
 * that was taken by one who died before its job was added replaces nothing.
 */
async function isReplaced(
  options: PurgeWorkerOptions,
  job: Job<JobData>,
  purgeId: PurgeId,
): Promise<boolean> {
  const number = jobNumberOf(job.id ?? '', purgeId);
  if (number === null) return false;
  const current = await options.currentJobNumber(purgeId);
  if (current === null || number >= current) return false;
  return (await options.queue.place({ id: purgeId, jobNumber: current })) !== 'none';
}

/** Who has this process's slots, and who has to give one back. */
class Turns {
  readonly #options: PurgeWorkerOptions;
  readonly #taken = new Set<TakenSlot>();

  constructor(options: PurgeWorkerOptions) {
    this.#options = options;
  }

  async take<Result>(
    mine: TakenSlot,
    work: (giveWay: () => Promise<boolean>) => Promise<Result>,
  ): Promise<Result> {
    this.#taken.add(mine);
    let lookedAt = performance.now() + TURN_MIN_MS - LOOK_AT_LINE_EVERY_MS;
    try {
      return await work(async () => {
        const isAlone = this.#taken.size < this.#options.slots;
        if (mine.priority === 0 || isAlone) return false;
        if (performance.now() - lookedAt < LOOK_AT_LINE_EVERY_MS) return false;
        lookedAt = performance.now();
        const waiting = await this.#options.queue.firstInLine();
        return givesWay(mine, [...this.#taken], this.#options.slots, waiting);
      });
    } finally {
      this.#taken.delete(mine);
    }
  }
}
