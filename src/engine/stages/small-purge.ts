import { readFault } from '../../postgres/sqlstate.ts';
import { fenced } from '../fenced.ts';
import type { Run } from '../parts.ts';
import type { ProgressMeter } from '../progress.ts';
import { meansReference } from '../retry.ts';
import { refuseStrangers } from '../strangers.ts';

/**
 * True for a tenant so small that all its levels fit one transaction. One that has entered a level
 * was too slow for that once: it goes on by batches.
 */
export const isSmall = ({ purge, parts }: Run): boolean =>
  purge.rowsTotal <= parts.limits.smallPurgeRows && purge.level === null;

/**
 * A row that the application inserts between two statements of the transaction makes the later one
 * fail; the next try finds it. A reference of somebody else fails every try.
 */
const TRIES_MAX = 3;

/** One segment for all of them: 27 fsyncs a tenant took 7 s over 1,845 tenants, one 0.5 s. */
const ALL_TABLES = 'all-tables';

/**
 * All levels in one transaction: 1,845 small tenants took 15.6 s with a transaction for each table,
 * 8.6 s with one for each tenant.
 * @returns false when it has to go by batches: it was too slow for the statement timeout (the tenant
 *   has grown), or it is more than a cap on rows per second allows in one
 */
export async function purgeAtOnce(run: Run, meter: ProgressMeter): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    await run.parts.throttle.admit(run, meter, []);
    if (exceedsCap(run)) return await giveUp(run);
    try {
      await tryAtOnce(run, meter);
      return true;
    } catch (error) {
      if (readFault(error).faultClass === 'shrink') return await giveUp(run);
      if (tries < TRIES_MAX && meansReference(error)) continue;
      throw error;
    }
  }
}

/**
 * Batches commit one by one: what preflight asks of a large tenant is asked now, since a reference from
 * outside no longer undoes the whole.
 */
async function giveUp({ parts, plan, purge }: Run): Promise<false> {
  await refuseStrangers(parts, plan, purge);
  return false;
}

/** More than a second's rows. */
function exceedsCap(run: Run): boolean {
  const { rowsPerSecMax } = run.parts.throttle.knobs(run);
  return rowsPerSecMax !== null && run.purge.rowsTotal > rowsPerSecMax;
}

async function tryAtOnce(run: Run, meter: ProgressMeter): Promise<void> {
  const { parts } = run;
  const result = await fenced(run, () =>
    parts.rows.runSmallPurge({
      fence: run.fence,
      tenantId: run.purge.tenantId,
      levels: run.plan.levels,
      limits: parts.limits,
      archive: run.archive?.sinkOf(ALL_TABLES, ALL_TABLES) ?? null,
      next: parts.sweeper === null ? 'verify' : 'redis',
    }),
  );
  parts.throttle.spend(run, result.rows);
  meter.add('all tables', result.rows);
  await parts.failpoint('batch-committed');
}
