import type { PurgeId } from '../../../src/domain/ids.ts';
import type { Failpoint } from '../../../src/engine/failpoints.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { runSql, type TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';

export const BY_COLUMN = { quiesce: { column: 'status', value: 'purging' } };
export const HOLD = { hold: { column: 'legal_hold' } };
export const SMALL = { batch: { smallPurgeRows: 5_000 } };
export const BATCHES = { batch: { smallPurgeRows: 0 } };
export const WAYS = [
  ['one transaction', SMALL],
  ['batches', BATCHES],
] as const;

/** The small application whose tenants have a status to mark and a hold. */
export const makeMarkableTemplate = (): Promise<TestDatabase> =>
  makeTemplate(async (url) => {
    await createSmallApplication(url, { kept: 2, doomed: 3 });
    await runSql(
      url,
      `alter table public.tenants
       add column status text not null default 'active', add column legal_hold boolean`,
    );
  });

/** Acts after the first batch that has deleted a row. */
export function afterFirstRows(world: PurgeWorld, act: () => Promise<void> | void): Failpoint {
  let acted = false;
  return async (point) => {
    if (point !== 'batch-committed' || acted) return;
    const rows = await world.value(
      `select coalesce(sum(rows), 0)::int from tenant_purge.batch where kind = 'delete'`,
    );
    if (rows === 0) return;
    acted = true;
    await act();
  };
}

export const statusOf = (world: PurgeWorld, tenantId: string): Promise<unknown> =>
  world.value('select status from public.tenants where id = $1', [tenantId]);

/** Kinds of the purge's events, oldest first. */
export async function eventsOf(world: PurgeWorld, id: PurgeId): Promise<string[]> {
  const { rows } = await world.pool.query(
    'select kind from tenant_purge.event where purge_id = $1 order by id',
    [id],
  );
  return rows.map(({ kind }) => kind);
}

/** Cancels as the command does, and waits so long for the worker. */
export async function cancel(world: PurgeWorld, id: PurgeId, waitMs = 5_000): Promise<void> {
  await runCommand(world.actor.reconcile, 'cancel', {
    selection: { kind: 'purge', id },
    fleet: false,
    operator: 'test',
    waitMs,
  });
}
