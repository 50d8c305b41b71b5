import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

/** Bookmarks of the other tenant and shares of nobody, both toward agents; documents one to one. */
const SCHEMA = `
create table public.bookmarks (
  id int primary key, tenant_id text not null references public.tenants,
  agent_id bigint references public.agents on delete cascade);
create table public.shares (id int primary key, agent_id bigint references public.agents);
create table public.documents (id int primary key, title text);
create table public.contracts (
  id int primary key, tenant_id text not null references public.tenants,
  document_id int unique references public.documents);
create table public.readings (document_id int references public.documents);
insert into public.bookmarks
  select n, case when n % 2 = 0 then 'kept' else 'doomed' end, a.id
  from generate_series(1, 40) n, (select min(id) as id from public.agents where tenant_id = 'doomed') a;
insert into public.shares select n, a.id from generate_series(1, 40) n,
  (select min(id) as id from public.agents where tenant_id = 'doomed') a;
insert into public.shares select 100 + n, a.id from generate_series(1, 40) n,
  (select min(id) as id from public.agents where tenant_id = 'kept') a;
insert into public.documents select n, 'x' from generate_series(1, 60) n;
insert into public.contracts
  select n, case when n % 2 = 0 then 'kept' else 'doomed' end, n from generate_series(1, 50) n;
insert into public.readings values (1)`;

const RULES = {
  tables: { 'public.readings': { onPurge: 'keep' as const } },
  foreignKeys: {
    'public.bookmarks.bookmarks_agent_id_fkey': 'set-null' as const,
    'public.shares.shares_agent_id_fkey': 'delete' as const,
  },
  follow: ['public.contracts.document_id'],
};

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 3 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

describe('A purge whose rules reach rows of others', () => {
  it.each([
    ['in one transaction', 5_000],
    ['by batches', 0],
  ])('clears and deletes exactly those that refer to its tenant %s', async (_, smallPurgeRows) => {
    world = await createWorld({
      template: template.name,
      config: { ...RULES, batch: { smallPurgeRows, maxRows: 7 } },
    });
    await world.pool.query(SCHEMA);
    const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
    const { id } = await world.enqueueOne('doomed');
    world.startWorker();
    await world.untilStatus(id, 'completed');
    // The oracle counts shares as those of whom their agent belongs to: the doomed one's are left out.
    const after = await catalogueChecksum(world.pool, { except: [] });
    const changed = Object.keys(before).filter((table) => before[table] !== after[table]);
    expect(changed.sort()).toEqual(['public.bookmarks', 'public.documents']);
    expect(await world.value('select array_agg(id order by id) from public.bookmarks')).toEqual(
      Array.from({ length: 20 }, (__, at) => 2 * at + 2),
    );
    expect(await world.value('select count(agent_id)::int from public.bookmarks')).toBe(0);
    expect(await world.value('select min(id) || $$–$$ || max(id) from public.shares')).toBe(
      '101–140',
    );
    // Document 1 is read by somebody; 51–60 have no contract; even ones are the other tenant's.
    expect(
      await world.value(
        `select array_agg(id order by id) from public.documents where id % 2 = 1 and id <= 50`,
      ),
    ).toEqual([1]);
    expect(await world.value('select count(*)::int from public.documents')).toBe(36);
    expect(await world.ledgerRows(id)).toMatchObject({
      'public.shares': 40,
      'public.contracts': 25,
      'public.documents': 24,
    });
  });
});
