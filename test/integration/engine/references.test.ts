import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: Awaited<ReturnType<typeof makeTemplate>>;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    await addTenant(url, 'kept', 3);
    await addTenant(url, 'doomed', 3);
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const SIZES = [
  ['in one transaction', 5_000],
  ['by batches', 0],
] as const;

async function start(smallPurgeRows: number, sql: string): Promise<void> {
  world = await createWorld({ template: template.name, config: { batch: { smallPurgeRows } } });
  await world.pool.query(sql);
}

/** A table that belongs to the other tenant and points at a row of the doomed one. */
const STRANGER = (action: string): string => `
  create table public.bookmarks (
    id int primary key, tenant_id text not null references public.tenants,
    agent_id bigint references public.agents ${action});
  create index on public.bookmarks (tenant_id);
  create index on public.bookmarks (agent_id);
  insert into public.bookmarks values
    (1, 'kept', (select min(id) from public.agents where tenant_id = 'doomed')),
    (2, 'doomed', (select max(id) from public.agents where tenant_id = 'doomed')),
    (3, 'kept', (select max(id) from public.agents where tenant_id = 'kept'))`;

const agents = (): Promise<unknown> =>
  world.value(`select count(*)::int from public.agents where tenant_id = 'doomed'`);

test.each(
  SIZES.flatMap(([how, rows]) =>
    (['cascade', 'set null'] as const).map((action) => [action, how, rows] as const),
  ),
)(
  "11. another tenant's row that would %s stops a purge %s before its parent goes",
  async (action, _, rows) => {
    await start(rows, STRANGER(`on delete ${action}`));
    const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
    const { id } = await world.enqueueOne('doomed');
    const outcome = await world.run(id);
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'CASCADE_GUARD' } });
    expect((await world.find(id)).error?.message).toContain('public.bookmarks');
    expect(await catalogueChecksum(world.pool, { except: ['doomed'] })).toEqual(before);
    expect(await agents()).toBe(3);
    if (rows > 0) expect(await world.batches(id)).toBe(0);
  },
);

test.each(SIZES)(
  "7. another tenant's NO ACTION reference stops a purge %s and is named",
  async (_, rows) => {
    await start(rows, STRANGER(''));
    const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
    const { id } = await world.enqueueOne('doomed');
    const outcome = await world.run(id);
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'FOREIGN_REFERENCE' } });
    const { error, status } = await world.find(id);
    expect(status).toBe('failed');
    expect(error?.message).toContain('bookmarks_agent_id_fkey');
    expect(error?.message).toContain('public.bookmarks');
    expect(await catalogueChecksum(world.pool, { except: ['doomed'] })).toEqual(before);
    expect(await agents()).toBe(3);
  },
);

test('11. once the reference is cleared the tenant can be enqueued again and goes', async () => {
  await start(0, STRANGER('on delete cascade'));
  const first = await world.enqueueOne('doomed');
  expect((await world.run(first.id)).kind).toBe('failed');
  await world.pool.query('delete from public.bookmarks where id = 1');
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  await world.enqueueOne('doomed');
  world.startWorker();
  const ended = await world.untilEnded();
  expect(ended.map(({ status }) => status)).toEqual(['failed', 'completed']);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('12. a row that moves to another tenant between plan and run survives', async () => {
  await start(0, 'select 1');
  const { id } = await world.enqueueOne('doomed');
  await world.pool.query(
    `update app.events set tenant_id = 'kept' where ctid = (
       select min(ctid) from app.events where tenant_id = 'doomed' and day < '2026-01-01')`,
  );
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  world.startWorker();
  await world.untilStatus(id, 'completed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  expect(await world.ledgerRows(id)).toMatchObject({ 'app.events': 2 });
});
