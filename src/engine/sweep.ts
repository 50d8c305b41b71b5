import { PurgeError } from '../domain/errors.ts';
import type { TenantId, WorkerId } from '../domain/ids.ts';
import type {
  OpenPipeline,
  SweepClaim,
  SweepStore,
  SweptPurge,
} from '../postgres/ledger/sweeps.ts';
import type { Failpoint } from './failpoints.ts';

/** One pass over the keyspace, as `src/redis` gives it; handed in by `src/runtime`. */
export interface SweepKeyspace {
  /** One pass; asks `admit` before every pipeline; calls `onProgress` after it. */
  sweep(options: {
    readonly tenantIds: ReadonlySet<string>;
    readonly startCursor: string | null;
    readonly admit: (tenantIds: readonly string[]) => Promise<ReadonlySet<string>>;
    readonly onProgress: (step: SweepStep) => Promise<void>;
    /** Tenants whose keys are made durable by `keep` before they are unlinked. */
    readonly archive?: {
      readonly tenantIds: ReadonlySet<string>;
      readonly keep: (keys: readonly SweptKey[]) => Promise<void>;
      /** Asked once for each pipeline, between the two; rejects where nothing may be unlinked any more. */
      readonly confirm: () => Promise<void>;
    };
  }): Promise<void>;
  /** Keys per tenant now, by a pass that only reads. */
  count(tenantIds: ReadonlySet<string>): Promise<ReadonlyMap<string, number>>;
  readonly waitMs: number;
}

/** A key as it was just before it is unlinked. */
export interface SweptKey {
  readonly id: string;
  readonly key: Buffer;
  readonly dump: Buffer;
  readonly expiresAt: number | null;
}

interface SweepStep {
  readonly cursor: string;
  readonly scanned: number;
  readonly deleted: ReadonlyMap<string, number>;
  /** Tenants that left the pass; it does not speak for them. */
  readonly dropped: ReadonlySet<string>;
}

/** Archives the keys of those of a sweep's purges that have an archive. */
export interface SweepArchiving {
  /** @returns null where none of them has */
  begin(claim: SweepClaim): Promise<{
    readonly tenantIds: ReadonlySet<string>;
    keep(keys: readonly SweptKey[]): Promise<void>;
    close(): Promise<void>;
  } | null>;
}

type SweepAttempt =
  | { readonly kind: 'swept'; readonly purges: readonly SweptPurge[] }
  | { readonly kind: 'wait'; readonly lookAgainInMs: number }
  | { readonly kind: 'nothing-waits' };

/**
 * While a pipeline's keys are dumped and made durable its session, and the claim, show that this process
 * is not frozen: 1,000 keys of 1 MB take longer than PostgreSQL leaves it idle, and would in each try.
 */
const AWAKE_EVERY_MS = 3_000;
/** The ledger hears of the cursor this often, and whenever keys were deleted. */
const CURSOR_EVERY_MS = 1_000;

class LostSweep extends Error {
  override readonly name = 'LostSweep';
}

export interface SweepParts {
  readonly sweeps: SweepStore;
  readonly keyspace: SweepKeyspace;
  /** Of these tenants those that own a row now, by fresh queries over the live catalogue. */
  readonly tenantsWithRows: (tenantIds: readonly TenantId[]) => Promise<ReadonlySet<string>>;
  readonly holder: WorkerId;
  /** A holder silent for longer is taken to be dead. */
  readonly leaseMs: number;
  readonly failpoint: Failpoint;
  /** Null where this process has no archive. */
  readonly archive: SweepArchiving | null;
  /** True once this process shuts down: the pass ends before its next pipeline. */
  readonly stopping: () => boolean;
}

/**
 * Claims and runs the shared pass if one is due: 0.6 s for every purge that waits, against 0.5 s for
 * each with a SCAN of its own. Ends with a fresh look for keys and rows of these
 * tenants, one query a table for all of them. A crash leaves the cursor in the ledger; the next holder goes on from it.
 */
export async function sweepIfDue(parts: SweepParts): Promise<SweepAttempt> {
  const attempt = await parts.sweeps.claim({
    holder: parts.holder,
    waitMs: parts.keyspace.waitMs,
    leaseMs: parts.leaseMs,
  });
  if (attempt.kind !== 'claimed') return attempt;
  const { claim } = attempt;
  try {
    await parts.failpoint('before-sweep');
    const tenantIds = new Set(claim.purges.map((purge) => purge.tenantId));
    await runPass(parts, claim, tenantIds);
    await parts.failpoint('sweep-passed');
    const left = await whileAlive(parts, claim, async () => ({
      keys: await parts.keyspace.count(tenantIds),
      rows: await parts.tenantsWithRows([...tenantIds]),
    }));
    const purges = await parts.sweeps.finish(claim, left);
    await parts.failpoint('swept');
    return { kind: 'swept', purges };
  } catch (error) {
    // Nobody has to wait out the lease of a holder that gives up knowingly.
    await parts.sweeps.release(claim).catch(() => undefined);
    if (error instanceof LostSweep) return { kind: 'wait', lookAgainInMs: CURSOR_EVERY_MS };
    throw error;
  }
}

/**
 * The fresh look has no pipelines that would show the holder alive, and over large tables it outlasts
 * the lease: each process in turn would take the pass over and none would end it.
 */
async function whileAlive<Result>(
  parts: SweepParts,
  claim: SweepClaim,
  work: () => Promise<Result>,
): Promise<Result> {
  const timer = setInterval(() => {
    // A lost claim shows when the pass is ended.
    parts.sweeps.barred(claim).catch(() => undefined);
  }, parts.leaseMs / 3);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

async function runPass(
  parts: SweepParts,
  claim: SweepClaim,
  tenantIds: ReadonlySet<TenantId>,
): Promise<void> {
  const { keyspace } = parts;
  const book = new SweepBook(parts.sweeps, claim);
  const archive = (await parts.archive?.begin(claim)) ?? null;
  let pipeline: OpenPipeline | null = null;
  let awake: NodeJS.Timeout | undefined;
  const letRest = (): void => clearInterval(awake);
  const keepAwake = (): void => {
    letRest();
    const everyMs = Math.min(AWAKE_EVERY_MS, parts.leaseMs / 3);
    awake = setInterval(() => {
      pipeline?.isHeld().catch(() => undefined);
      parts.sweeps.barred(claim).catch(() => undefined);
    }, everyMs);
  };
  const leave = async (): Promise<void> => {
    letRest();
    const left = pipeline;
    pipeline = null;
    await left?.leave();
  };
  try {
    await keyspace.sweep({
      tenantIds,
      startCursor: claim.cursor,
      admit: async (asked) => {
        if (parts.stopping()) throw new LostSweep('this process shuts down');
        const entered = await parts.sweeps.enterPipeline(claim);
        if (entered === null) throw new LostSweep('the sweep went to another holder');
        pipeline = entered;
        if (archive !== null) keepAwake();
        await parts.failpoint('before-unlink');
        return new Set(asked.filter((tenantId) => !entered.barred.has(tenantId)));
      },
      onProgress: async (step) => {
        await leave();
        await book.add(step);
      },
      ...(archive === null
        ? {}
        : {
            archive: {
              tenantIds: archive.tenantIds,
              keep: async (keys: readonly SweptKey[]) => {
                keepAwake();
                await archive.keep(keys);
                await parts.failpoint('keys-archived');
              },
              // A process that was frozen: the stop that waited for it has gone on.
              confirm: async () => {
                letRest();
                if ((await pipeline?.isHeld()) !== true) throw lostPipeline();
              },
            },
          }),
    });
  } finally {
    await leave();
    await archive?.close();
  }
  await book.write();
}

const lostPipeline = (): PurgeError =>
  new PurgeError(
    'TIMED_OUT',
    'Between its archive and its unlink a pipeline of the sweep took so long that a stop need not have waited for it. These keys are left; another pass takes them.',
    { remedy: 'See whether the archive’s storage or this machine stalls.' },
  );

/**
 * Gathers what the pass reports and writes it once a second: 185 pipelines of 770 tenants each would
 * otherwise mean 140,000 updates. A crash in between loses at most a second's count of deleted keys,
 * never a key: the next holder passes over the same part again.
 */
class SweepBook {
  readonly #sweeps: SweepStore;
  readonly #claim: SweepClaim;
  #deleted = new Map<string, number>();
  #latest: SweepStep | null = null;
  #scannedBefore = 0;
  #writtenAt = performance.now();

  constructor(sweeps: SweepStore, claim: SweepClaim) {
    this.#sweeps = sweeps;
    this.#claim = claim;
  }

  async add(step: SweepStep): Promise<void> {
    for (const [tenantId, keys] of step.deleted) {
      this.#deleted.set(tenantId, (this.#deleted.get(tenantId) ?? 0) + keys);
    }
    const newlyDropped = step.dropped.size > (this.#latest?.dropped.size ?? 0);
    this.#latest = step;
    if (newlyDropped || performance.now() - this.#writtenAt >= CURSOR_EVERY_MS) await this.write();
  }

  async write(): Promise<void> {
    if (this.#latest === null) return;
    const { cursor, scanned, dropped } = this.#latest;
    const deleted = this.#deleted;
    this.#deleted = new Map();
    await this.#sweeps.progress(this.#claim, {
      cursor,
      scanned: scanned - this.#scannedBefore,
      deleted,
      dropped,
    });
    this.#scannedBefore = scanned;
    this.#writtenAt = performance.now();
  }
}
