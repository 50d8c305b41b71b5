import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { isLive } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const SMALL = Array.from({ length: 20 }, (_, n) => `small-${n}`);
const FAILING = ['fails-0', 'fails-1', 'fails-2', 'fails-3', 'fails-4'];

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query(`
      create table public.tenants (id text primary key, name text not null);
      create table public.items (
        id bigint generated always as identity primary key,
        tenant_id text not null references public.tenants);
      create index on public.items (tenant_id)`);
    for (const id of ['whale-1', 'whale-2', ...SMALL, ...FAILING]) {
      const rows = id.startsWith('whale') ? 20_000 : 5;
      await client.query('insert into public.tenants values ($1, $1)', [id]);
      await client.query(
        'insert into public.items (tenant_id) select $1 from generate_series(1, $2::int)',
        [id, rows],
      );
    }
    await client.query('analyze');
    await client.end();
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: {
      worker: { slots: 2, lockMs: 30_000, reconcileMs: 1_000 },
      batch: { smallPurgeRows: 1_000, maxRows: 1_000, lockTimeoutMs: 20 },
    },
  });
});
afterEach(() => world.close());

/** At this pace a whale takes twenty seconds. */
async function slowDown(whales: readonly PurgeRecord[]): Promise<void> {
  const store = new ThrottleStore(world.actor.database);
  for (const { id } of whales) {
    await store.tune(id, { kind: 'set', knobs: { maxRowsPerSec: 1_000 } }, 'test');
  }
}

async function speedUp(whales: readonly PurgeRecord[]): Promise<void> {
  const store = new ThrottleStore(world.actor.database);
  for (const { id } of whales) await store.tune(id, { kind: 'clear' }, 'test');
}

const untilAll = (purges: readonly PurgeRecord[], status: string): Promise<unknown> =>
  until(
    `all are ${status}`,
    25_000,
    async () => {
      const now = await Promise.all(purges.map(({ id }) => world.find(id)));
      return now.every((purge) => purge.status === status) ? true : null;
    },
    async () =>
      (await Promise.all(purges.map(({ id }) => world.find(id)))).map((p) => p.status).join(', '),
  );

test('32. twenty small tenants finish while two whales, which came first, still run', async () => {
  const whales = await world.enqueue(['whale-1', 'whale-2']);
  await slowDown(whales);
  world.startWorker();
  await untilAll(whales, 'running');
  const small = await world.enqueue(SMALL);
  await untilAll(small, 'completed');
  const now = await Promise.all(whales.map(({ id }) => world.find(id)));
  expect(now.every(({ status }) => isLive(status))).toBe(true);
  // One of them gave way, the other was left alone.
  const { rows } = await world.pool.query(
    `select distinct purge_id from tenant_purge.event
     where kind = 'given back' and details ->> 'reason' = 'it gives way to smaller purges'`,
  );
  expect(rows).toHaveLength(1);
  await untilAll(whales, 'running');
  await speedUp(whales);
  await untilAll(whales, 'completed');
});

test('32. in one campaign small tenants go before the whales, whatever the order', async () => {
  const purges = await world.enqueue(['whale-1', 'whale-2', ...SMALL]);
  const whales = purges.filter(({ tenantId }) => tenantId.startsWith('whale'));
  const small = purges.filter((purge) => !whales.includes(purge));
  await slowDown(whales);
  world.startWorker();
  await untilAll(small, 'completed');
  const begun = await world.pool.query(
    `select count(*)::int as n from tenant_purge.event e
     where e.kind = 'claimed' and e.purge_id = any($1)
       and e.id < (select min(id) from tenant_purge.event where kind = 'claimed' and purge_id = any($2))`,
    [small.map(({ id }) => id), whales.map(({ id }) => id)],
  );
  // Of two slots the one that is free first may begin a whale while the other begins the last.
  expect(begun.rows[0].n).toBeGreaterThanOrEqual(SMALL.length - 1);
  await speedUp(whales);
  await untilAll(whales, 'completed');
});

test('32. five that always fail, first in line, hold up nobody, and their failures stay as evidence', async () => {
  const locker = new Client({ connectionString: world.config.databaseUrl });
  await locker.connect();
  try {
    await locker.query('begin');
    await locker.query('select from public.items where tenant_id = any($1) for update', [FAILING]);
    const failing = await world.enqueue(FAILING);
    const small = await world.enqueue(SMALL);
    world.startWorker();
    await untilAll(small, 'completed');
    const now = await Promise.all(failing.map(({ id }) => world.find(id)));
    expect(now.every(({ status }) => isLive(status))).toBe(true);
    const { rows } = await world.pool.query(
      `select count(distinct purge_id)::int as n from tenant_purge.event
       where kind = 'interrupted' and purge_id = any($1)`,
      [failing.map(({ id }) => id)],
    );
    expect(rows[0].n).toBeGreaterThan(0);
    await locker.query('rollback');
    await untilAll(failing, 'completed');
  } finally {
    await locker.end();
  }
});
