import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { PurgeId } from '../../../src/domain/ids.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) =>
    createSmallApplication(url, { other: 6, doomed: 6, kept: 6 }),
  );
});
afterAll(() => template.drop());

let world: PurgeWorld;
let before: unknown;
afterEach(() => world.close());

const FULL = {
  'app.events': 6,
  'public.agents': 6,
  'public.conversations': 6,
  'public.messages': 12,
  'public.settings': 1,
  'public.tenants': 1,
  'public.workspaces': 6,
};

async function start(sql?: string, batch: object = {}): Promise<void> {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1, ...batch } },
  });
  if (sql !== undefined) await world.pool.query(sql);
  before = await catalogueChecksum(world.pool, { except: ['doomed'] });
}

/** Runs until a batch of the table has committed rows, then gives the purge back. */
async function runIntoTable(id: PurgeId, table: string): Promise<void> {
  const outcome = await world.run(id, {
    control: {
      stopReason: async () => {
        const rows = (await world.ledgerRows(id))[table] ?? 0;
        return rows > 0 ? 'the worker shuts down' : null;
      },
    },
  });
  expect(outcome.kind).toBe('yielded');
}

async function finish(id: PurgeId): Promise<void> {
  expect(await world.run(id)).toMatchObject({ kind: 'awaiting-sweep' });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
}

test('5. a table rewritten by VACUUM FULL in mid-run is begun again and counted exactly', async () => {
  await start();
  const { id } = await world.enqueueOne('doomed');
  await runIntoTable(id, 'public.messages');
  await world.pool.query('vacuum full public.messages');
  await world.pool.query('vacuum full public.conversations');
  await finish(id);
  expect(await world.ledgerRows(id)).toEqual(FULL);
  const passes = await world.value(
    `select pass from tenant_purge.checkpoint where purge_id = $1 and step = 'delete public.messages'`,
    [id],
  );
  expect(passes).toBe(1);
});

test('23. rows updated and inserted behind the scan are found by another pass', async () => {
  await start();
  const { id } = await world.enqueueOne('doomed');
  await runIntoTable(id, 'public.messages');
  // Every block before the checkpoint gets free space; the updated rows land there.
  await world.pool.query('vacuum public.messages');
  await world.pool.query(
    `update public.messages m set pad = m.pad || 'y' from public.conversations c
     where c.id = m.conversation_id and c.tenant_id = 'doomed'`,
  );
  await world.pool.query(
    `insert into public.messages (conversation_id, pad)
     select min(id), 'late' from public.conversations where tenant_id = 'doomed'`,
  );
  await finish(id);
  expect(await world.ledgerRows(id)).toEqual({ ...FULL, 'public.messages': 13 });
});

test('14. a partitioned table is emptied leaf by leaf, its checkpoint names the leaf', async () => {
  await start();
  const { id } = await world.enqueueOne('doomed');
  await runIntoTable(id, 'app.events');
  const { rows } = await world.pool.query(
    `select leaf, filenode = pg_relation_filenode(leaf::regclass) as same from tenant_purge.checkpoint
     where purge_id = $1 and step = 'delete app.events'`,
    [id],
  );
  expect(rows).toEqual([{ leaf: 'app.events_2025', same: true }]);
  await world.pool.query('vacuum full app.events_2025');
  await finish(id);
  expect(await world.ledgerRows(id)).toEqual(FULL);
});

test('a tenant in large tables is found by its index, in batches of addresses', async () => {
  const grow = `
    insert into public.conversations (tenant_id, agent_id, pad)
      select 'kept', (select min(id) from public.agents where tenant_id = 'kept'), repeat('x', 1900)
      from generate_series(1, 600);
    insert into app.events select 'kept', '2026-03-01', repeat('x', 1900) from generate_series(1, 600);
    analyze`;
  await start(grow, { maxRows: 4 });
  const { id } = await world.enqueueOne('doomed');
  await runIntoTable(id, 'public.conversations');
  const ranges = await world.value(
    `select string_agg(distinct split_part(range, ' ', 1), ',') from tenant_purge.batch
     where purge_id = $1 and table_name = 'public.conversations'`,
    [id],
  );
  expect(ranges).toBe('rows');
  await world.pool.query('vacuum full public.conversations');
  await finish(id);
  expect(await world.ledgerRows(id)).toEqual(FULL);
});
