import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) =>
    createSmallApplication(url, { kept: 1, doomed: 2, wide: 40 }),
  );
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

/** Every row of events takes this long to delete. */
const slowRows = (seconds: number, condition = 'true'): string => `
  create function app.slow() returns trigger language plpgsql as $$ begin
    if ${condition} then perform pg_sleep(${seconds}); end if; return old; end $$;
  create trigger slow before delete on app.events for each row execute function app.slow()`;

test('27. a batch that exceeds the statement timeout is halved until it fits', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 1_000, statementTimeoutMs: 300, targetMs: 10_000 } },
  });
  await world.pool.query(slowRows(0.02));
  const before = await catalogueChecksum(world.pool, { except: ['wide'] });
  const { id } = await world.enqueueOne('wide');
  world.startWorker();
  await world.untilStatus(id, 'completed', 30_000);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  expect(await world.ledgerRows(id)).toMatchObject({ 'app.events': 40 });
  const slowest = await world.value(
    `select max(duration_ms) from tenant_purge.batch where table_name = 'app.events'`,
  );
  expect(slowest).toBeLessThan(600);
});

/** One row of the tenant's, in the second of its blocks, never goes. */
async function poison(table: string): Promise<number> {
  const found = await world.value(
    `select (array_agg(id order by id))[6] from ${table} where tenant_id = 'wide'`,
  );
  const id = Number(found);
  await world.pool.query(`
    create function app.slow() returns trigger language plpgsql as $$ begin
      if old.id = ${id} then perform pg_sleep(60); end if; return old; end $$;
    create trigger slow before delete on ${table} for each row execute function app.slow()`);
  return id;
}

test.each([
  ['heap', 0],
  ['index', 500],
])(
  '27. a row that cannot be deleted within the timeout is named by its key on the %s path, and goes alone',
  async (path, rowsOfOthers) => {
    world = await createWorld({
      template: template.name,
      config: { batch: { maxRows: 1_000, statementTimeoutMs: 300 } },
    });
    await world.pool.query(`insert into public.conversations (tenant_id, agent_id, pad)
      select 'kept', (select min(id) from public.agents where tenant_id = 'kept'), repeat('x', 1900)
      from generate_series(1, ${rowsOfOthers}); analyze public.conversations`);
    const poisoned = await poison('public.conversations');
    const { id } = await world.enqueueOne('wide');
    const outcome = await world.run(id);
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: {
        code: 'POISON_ROW',
        message: expect.stringContaining(`the row id = ${poisoned} of public.conversations`),
        details: { table: 'public.conversations', row: `id = ${poisoned}` },
      },
    });
    const [before, after] = [`id < ${poisoned}`, `id = ${poisoned}`];
    const left = `select count(*)::int from public.conversations where tenant_id = 'wide' and `;
    expect(await world.value(left + before)).toBe(0);
    expect(await world.value(left + after)).toBe(1);
    const byBlocks = `select bool_or(range like 'blocks%') from tenant_purge.batch
      where table_name = 'public.conversations'`;
    expect(await world.value(byBlocks)).toBe(path === 'heap');
    await world.pool.query('drop function app.slow() cascade');
    const kept = await catalogueChecksum(world.pool, { except: ['wide'] });
    await world.enqueueOne('wide');
    world.startWorker();
    await world.untilEnded();
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(kept);
  },
);

test('27. a row of a table without primary key is named by its leaf and address', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 1_000, statementTimeoutMs: 200 } },
  });
  await world.pool.query(slowRows(60, `old.tenant_id = 'doomed'`));
  const { id } = await world.enqueueOne('doomed');
  const outcome = await world.run(id);
  expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'POISON_ROW' } });
  expect((await world.find(id)).error?.message).toMatch(
    /the row ctid \(\d+,\d+\) of app\.events_202\d/,
  );
});

test('27. a small tenant too slow for one transaction goes by batches', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { smallPurgeRows: 5_000, maxRows: 1_000, statementTimeoutMs: 300 } },
  });
  await world.pool.query(slowRows(0.02));
  const before = await catalogueChecksum(world.pool, { except: ['wide'] });
  const { id } = await world.enqueueOne('wide');
  world.startWorker();
  await world.untilStatus(id, 'completed', 30_000);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('27. a small tenant that has to go by batches is first looked at for references from outside', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { smallPurgeRows: 5_000, maxRows: 1_000, statementTimeoutMs: 300 } },
  });
  await world.pool.query(`${slowRows(0.02)};
    create table public.notes (id int primary key, tenant_id text not null references public.tenants,
      agent_id bigint references public.agents);
    create index on public.notes (tenant_id); create index on public.notes (agent_id)`);
  const { id } = await world.enqueueOne('wide');
  await world.pool.query(`insert into public.notes values
    (1, 'kept', (select min(id) from public.agents where tenant_id = 'wide'))`);
  const before = await catalogueChecksum(world.pool, { except: [] });
  expect(await world.run(id)).toMatchObject({
    kind: 'refused',
    error: { code: 'HAZARD_BLOCKS', message: expect.stringContaining('id = 1 (of tenant kept') },
  });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('28. a row locked by the application holds the purge up, and it goes on when it is free', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { lockTimeoutMs: 50 } },
  });
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  const holder = await world.pool.connect();
  await holder.query('begin');
  await holder.query(`select from app.events where tenant_id = 'doomed' for update`);
  const parts = world.engine(async (point) => {
    if (point !== 'before-batch') return;
    tries += 1;
    // Once the batch has been refused for its lock and tried again, the application is done.
    if (tries === 8) await holder.query('rollback');
  });
  let tries = 0;
  expect((await world.run(id, { parts })).kind).toBe('awaiting-sweep');
  holder.release();
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});
