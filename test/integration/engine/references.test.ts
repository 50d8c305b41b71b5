import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 3 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const AT_ONCE = 5_000;
const BY_BATCHES = 0;

async function start(smallPurgeRows: number, sql: string): Promise<void> {
  world = await createWorld({ template: template.name, config: { batch: { smallPurgeRows } } });
  await world.pool.query(sql);
}

/** A table of both tenants' that refers to agents; so far each tenant's rows to its own. */
const BOOKMARKS = (action: string): string => `
  create table public.bookmarks (
    id int primary key, tenant_id text not null references public.tenants,
    agent_id bigint references public.agents ${action});
  create index on public.bookmarks (tenant_id);
  create index on public.bookmarks (agent_id);
  insert into public.bookmarks values
    (2, 'doomed', (select max(id) from public.agents where tenant_id = 'doomed')),
    (3, 'kept', (select max(id) from public.agents where tenant_id = 'kept'))`;

/** A row of the other tenant that refers to a row of the doomed one. */
const addStranger = (): Promise<unknown> =>
  world.pool.query(`insert into public.bookmarks values
    (1, 'kept', (select min(id) from public.agents where tenant_id = 'doomed'))`);

const agents = (): Promise<unknown> =>
  world.value(`select count(*)::int from public.agents where tenant_id = 'doomed'`);

const ACTIONS = [
  ['cascade', 'ACTION_OUTSIDE_SET', 'CASCADE_GUARD'],
  ['set null', 'ACTION_OUTSIDE_SET', 'CASCADE_GUARD'],
  ['set default', 'ACTION_OUTSIDE_SET', 'CASCADE_GUARD'],
  ['no action', 'OUTSIDE_REFERENCE', 'FOREIGN_REFERENCE'],
  ['restrict', 'OUTSIDE_REFERENCE', 'FOREIGN_REFERENCE'],
] as const;

test.each(ACTIONS)(
  "11. another tenant's row that refers ON DELETE %s keeps a purge from being enqueued",
  async (action, type) => {
    await start(BY_BATCHES, BOOKMARKS(`on delete ${action}`));
    await addStranger();
    const request = { kind: 'tenants', ids: ['doomed'] } as const;
    const { hazards } = await prepareCampaign(world.actor.prepare, request);
    expect(hazards).toContainEqual(
      expect.objectContaining({
        type,
        severity: 'blocks',
        table: 'public.bookmarks',
        foreignKey: 'public.bookmarks.bookmarks_agent_id_fkey',
        count: 1,
        message: expect.stringContaining('id = 1 (of tenant kept, to tenant doomed)'),
        remedy: expect.stringContaining(
          '"foreignKeys": { "public.bookmarks.bookmarks_agent_id_fkey": "set-null" }',
        ),
      }),
    );
  },
);

test.each(ACTIONS)(
  "11. another tenant's row that came after the plan and refers ON DELETE %s refuses a purge by batches",
  async (action, type) => {
    await start(BY_BATCHES, BOOKMARKS(`on delete ${action}`));
    const { id } = await world.enqueueOne('doomed');
    await addStranger();
    const before = await catalogueChecksum(world.pool, { except: [] });
    const outcome = await world.run(id);
    expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'HAZARD_BLOCKS' } });
    const { error, status } = await world.find(id);
    expect(status).toBe('refused');
    expect(error?.message).toContain(type);
    expect(error?.message).toContain('public.bookmarks');
    expect(error?.message).toContain('id = 1 (of tenant kept');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    expect(await world.batches(id)).toBe(0);
  },
);

test.each(ACTIONS)(
  "7. another tenant's row that came after the plan and refers ON DELETE %s undoes a purge in one transaction",
  async (action, type, code) => {
    await start(AT_ONCE, BOOKMARKS(`on delete ${action}`));
    const { id } = await world.enqueueOne('doomed');
    await addStranger();
    const before = await catalogueChecksum(world.pool, { except: [] });
    const outcome = await world.run(id);
    expect(outcome).toMatchObject({ kind: 'failed', error: { code } });
    const { error } = await world.find(id);
    expect(error?.message).toContain('bookmarks_agent_id_fkey');
    expect(error?.message).toContain(type);
    expect(error?.message).toContain('id = 1 (of tenant kept');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test.each(ACTIONS)(
  "7. another tenant's row that comes between two batches and refers ON DELETE %s stops the purge and is named",
  async (action, _, code) => {
    await start(BY_BATCHES, BOOKMARKS(`on delete ${action}`));
    const { id } = await world.enqueueOne('doomed');
    const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
    const failpoint = actAt('batch-committed', 1, async () => {
      await addStranger();
    });
    const outcome = await world.run(id, { parts: world.engine(failpoint) });
    expect(outcome).toMatchObject({ kind: 'failed', error: { code } });
    expect((await world.find(id)).error?.message).toContain('id = 1 (of tenant kept');
    await world.pool.query('delete from public.bookmarks where id = 1');
    expect(await catalogueChecksum(world.pool, { except: ['doomed'] })).toEqual(before);
    expect(await agents()).toBe(3);
  },
);

test('11. once the reference is cleared the tenant can be enqueued again and goes', async () => {
  await start(BY_BATCHES, BOOKMARKS('on delete cascade'));
  const first = await world.enqueueOne('doomed');
  await addStranger();
  expect((await world.run(first.id)).kind).toBe('refused');
  await world.pool.query('delete from public.bookmarks where id = 1');
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  await world.enqueueOne('doomed');
  world.startWorker();
  const ended = await world.untilEnded();
  expect(ended.map(({ status }) => status)).toEqual(['refused', 'completed']);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('12. a row that moves to another tenant between plan and run survives', async () => {
  await start(BY_BATCHES, 'select 1');
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
