import type { PurgeId, TenantId } from '../domain/ids.ts';
import type { SweepClaim } from '../postgres/ledger/sweeps.ts';
import type { EngineParts, RunControl } from './parts.ts';

/** One pass over the keyspace, as `src/redis` gives it; handed in by `src/runtime`. */
export interface SweepKeyspace {
  /** `run_id` of the server: a cursor is worth nothing to another one. */
  runId(): Promise<string>;
  /** One pass; asks `admit` before every pipeline; calls `onProgress` after it. */
  sweep(options: {
    readonly tenantIds: ReadonlySet<string>;
    readonly startCursor: string;
    readonly admit: (tenantIds: readonly string[]) => Promise<ReadonlySet<string>>;
    readonly onProgress: (step: SweepStep) => Promise<void>;
  }): Promise<void>;
  /** Keys per tenant now, by a pass that only reads. */
  count(tenantIds: ReadonlySet<string>): Promise<ReadonlyMap<string, number>>;
  readonly waitMs: number;
}

export interface SweepStep {
  readonly cursor: string;
  readonly scanned: number;
  readonly deleted: ReadonlyMap<string, number>;
}

export type SweepAttempt =
  | { readonly kind: 'swept'; readonly purgeIds: readonly PurgeId[] }
  | { readonly kind: 'wait'; readonly lookAgainInMs: number }
  | { readonly kind: 'nothing-waits' };

/** A holder that has not asked for admission for this long is taken to be dead. */
const LEASE_MS = 15_000;
/** The ledger hears of the cursor this often, and whenever keys were deleted. */
const CURSOR_EVERY_MS = 1_000;

class LostSweep extends Error {
  override readonly name = 'LostSweep';
}

/**
 * Claims and runs the shared pass if one is due: 0.6 s for every purge that waits, against 0.5 s for
 * each with a SCAN of its own. Ends with a pass that only counts, so that a key written meanwhile is
 * found. A crash leaves the cursor in the ledger; the next holder goes on from it.
 */
export async function sweepIfDue(
  parts: EngineParts,
  keyspace: SweepKeyspace,
  control: RunControl,
): Promise<SweepAttempt> {
  const attempt = await parts.sweeps.claim({
    holder: control.worker,
    redisRunId: await keyspace.runId(),
    waitMs: keyspace.waitMs,
    leaseMs: LEASE_MS,
  });
  if (attempt.kind !== 'claimed') return attempt;
  const { claim } = attempt;
  try {
    await parts.failpoint('before-sweep');
    const residue = await runPass(parts, keyspace, claim);
    const purgeIds = await parts.sweeps.finish(claim, residue);
    await parts.failpoint('swept');
    control.onSwept(purgeIds);
    return { kind: 'swept', purgeIds };
  } catch (error) {
    if (error instanceof LostSweep) return { kind: 'wait', lookAgainInMs: CURSOR_EVERY_MS };
    throw error;
  }
}

async function runPass(
  parts: EngineParts,
  keyspace: SweepKeyspace,
  claim: SweepClaim,
): Promise<ReadonlyMap<string, number>> {
  const tenantIds = new Set<TenantId>(claim.purges.map((purge) => purge.tenantId));
  let bookedAt = performance.now();
  let scanned = 0;
  await keyspace.sweep({
    tenantIds,
    startCursor: claim.cursor,
    admit: async () => {
      const admitted = await parts.sweeps.admit(claim);
      if (admitted === null) throw new LostSweep('the sweep went to another holder');
      await parts.failpoint('before-unlink');
      return admitted;
    },
    onProgress: async (step) => {
      scanned += step.scanned;
      if (step.deleted.size === 0 && performance.now() - bookedAt < CURSOR_EVERY_MS) return;
      await parts.sweeps.progress(claim, { ...step, scanned });
      bookedAt = performance.now();
      scanned = 0;
    },
  });
  return keyspace.count(tenantIds);
}
