import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeId } from '../../src/domain/ids.ts';
import type { PurgeStatus } from '../../src/domain/purge.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { LEDGER_VERSION, MIGRATIONS, migrateLedger } from '../../src/postgres/migrate.ts';
import { runCommand } from '../../src/queue/commands.ts';
import { catalogueChecksum } from '../support/catalogue-checksum.ts';
import { runForJson } from '../support/cli.ts';
import { takeLedgerBack } from '../support/older-ledger.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { addTenant, createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';

/** What each tenant's purge is when the older program ends; `held`: by a worker that is no more. */
const LIVE: Readonly<
  Record<string, { readonly status: PurgeStatus; readonly begun: boolean; readonly held: boolean }>
> = {
  queued: { status: 'queued', begun: false, held: false },
  'given back': { status: 'queued', begun: true, held: false },
  scheduled: { status: 'scheduled', begun: false, held: false },
  running: { status: 'running', begun: true, held: true },
  pausing: { status: 'pausing', begun: true, held: true },
  paused: { status: 'paused', begun: true, held: false },
  cancelling: { status: 'cancelling', begun: true, held: true },
  interrupted: { status: 'interrupted', begun: true, held: false },
};
const TENANTS = Object.keys(LIVE);
/** Deletes are done: it waits for the sweep of its keys. */
const SWEPT = 'awaiting sweep';
const BATCHES_BEFORE = 4;
const ROWS = {
  'app.events': 4,
  'public.agents': 4,
  'public.conversations': 4,
  'public.messages': 8,
  'public.settings': 1,
  'public.tenants': 1,
  'public.workspaces': 4,
};

let template: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'older-ledger-'));
  writeFileSync(
    join(folder, 'purge.config.json'),
    JSON.stringify({ tenant: { table: 'public.tenants', key: 'id' } }),
  );
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    for (const id of ['kept', SWEPT, ...TENANTS]) await addTenant(url, id, 4);
  });
});
afterAll(async () => {
  await template?.drop();
  rmSync(folder, { recursive: true, force: true });
});

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1 } },
  });
});
afterEach(() => world.close());

/** Purges as a program leaves them in mid-run, each in its own status. */
async function leaveLivePurges(): Promise<Map<string, PurgeRecord>> {
  const purges = new Map<string, PurgeRecord>();
  for (const purge of await world.enqueue([SWEPT, ...TENANTS.filter((id) => id !== 'scheduled')])) {
    purges.set(purge.tenantId, purge);
  }
  for (const purge of await world.enqueue(['scheduled'], { delayMs: 86_400_000 })) {
    purges.set(purge.tenantId, purge);
  }
  for (const [tenantId, { begun }] of Object.entries(LIVE)) {
    const purge = purges.get(tenantId);
    if (!begun || purge === undefined) continue;
    const outcome = await world.run(purge.id, {
      control: {
        stopReason: async () =>
          (await world.batches(purge.id)) >= BATCHES_BEFORE ? 'the program is replaced' : null,
      },
    });
    expect(outcome.kind).toBe('yielded');
  }
  const swept = purges.get(SWEPT);
  if (swept !== undefined) {
    const parts = world.engine();
    expect((await world.run(swept.id, { parts })).kind).toBe('awaiting-sweep');
    // This process sweeps at once; how it stood a moment before is written by `KILLED`.
    await world.untilStatus(swept.id, 'completed');
    await parts.sweeper?.stop();
  }
  return purges;
}

/** Statuses of a program that was killed, written where its older self would have written them. */
const KILLED = Object.entries(LIVE)
  .map(
    ([tenantId, { status, held }]) => `
      update later.purge set status = '${status}', worker = ${held ? "'gone:1:0'" : 'null'},
        claimed_at = claimed_at - interval '1 hour'
      where tenant_id = '${tenantId}';`,
  )
  .join('\n')
  .concat(`
    update later.purge set due_at = now() + interval '1 second' where status = 'scheduled';
    delete from later.sweep;
    update later.purge set status = 'queued', stage = 'redis', swept = false, sweep_id = null,
      redis_waiting_since = now(), ended_at = null where tenant_id = '${SWEPT}';`);

const versions = async (): Promise<unknown> =>
  world.value('select array_agg(version order by version) from tenant_purge.migration');

const ask = (name: 'resume' | 'pause', purgeId: PurgeId): ReturnType<typeof runCommand> =>
  runCommand(world.actor.reconcile, name, {
    selection: { kind: 'purge', id: purgeId },
    fleet: false,
    operator: 'test',
    waitMs: 10_000,
  });

test.each(MIGRATIONS.filter(({ version }) => version < LEDGER_VERSION))(
  'live purges of a ledger of version $version ($name) are shown, migrated and finished',
  async ({ version }) => {
    const others = await catalogueChecksum(world.pool, { except: [SWEPT, ...TENANTS] });
    const purges = await leaveLivePurges();
    const other = await world.composeOther({});
    await takeLedgerBack(world.pool, version, KILLED);

    const old = MIGRATIONS.slice(0, version).map((each) => each.version);
    expect(await versions()).toEqual(old);
    const shown = await runForJson(['status'], { cwd: folder, env: world.environment });
    expect(shown.exitCode, JSON.stringify(shown.document)).toBe(0);
    const statuses = (shown.document['purges'] as { tenantId: string; status: string }[]).map(
      (purge) => [purge.tenantId, purge.status],
    );
    expect(Object.fromEntries(statuses)).toEqual({
      ...Object.fromEntries(TENANTS.map((id) => [id, LIVE[id]?.status])),
      [SWEPT]: 'queued',
    });
    // Looking changes nothing.
    expect(await versions()).toEqual(old);

    await Promise.all([migrateLedger(world.actor.database), migrateLedger(other.database)]);
    expect(await versions()).toEqual(MIGRATIONS.map((each) => each.version));

    world.startWorker();
    const scheduled = purges.get('scheduled');
    if (scheduled !== undefined) {
      await until('it is due', 10_000, async () =>
        (await world.value(
          'select due_at < clock_timestamp() from tenant_purge.purge where id = $1',
          [scheduled.id],
        )) === true
          ? true
          : null,
      );
      await world.actor.queue.promote(scheduled);
    }
    for (const [tenantId, purge] of purges) {
      if (tenantId === 'cancelling') continue;
      if (tenantId === 'pausing' || tenantId === 'paused') {
        await world.untilStatus(purge.id, 'paused');
        await ask('resume', purge.id);
      }
      await world.untilStatus(purge.id, 'completed', 60_000);
      expect(await world.ledgerRows(purge.id)).toEqual(expect.objectContaining(ROWS));
    }
    const cancelled = purges.get('cancelling');
    if (cancelled === undefined) throw new Error('no such purge');
    const { residue } = await world.untilStatus(cancelled.id, 'cancelled');
    const gone = Object.values(await world.ledgerRows(cancelled.id)).reduce((a, b) => a + b, 0);
    const remain = residue.reduce((sum, { count }) => sum + count, 0);
    expect(gone).toBeGreaterThan(0);
    expect(gone + remain).toBe(cancelled.rowsTotal);

    const again = await world.enqueueOne('cancelling');
    await world.untilStatus(again.id, 'completed', 60_000);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(others);
  },
  180_000,
);

test('a ledger of an older version is migrated once, whoever comes second', async () => {
  const other = await world.composeOther({});
  await takeLedgerBack(world.pool, 1, '');
  await migrateLedger(world.actor.database);
  await migrateLedger(other.database);
  expect(await versions()).toEqual(MIGRATIONS.map(({ version }) => version));
  expect(await world.value('select count(*)::int from tenant_purge.control')).toBe(1);
  expect(await world.value('select count(*)::int from tenant_purge.identity')).toBe(1);
});
