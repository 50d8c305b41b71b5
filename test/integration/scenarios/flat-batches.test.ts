import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const ROWS = 100_000;
/** Four times the rows are four times the work, and not sixteen times. */
const TIMES = 4;
const BATCH_ROWS = 250;

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async () => undefined);
});
afterAll(() => template.drop());

const worlds: PurgeWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

/** @param share of the table's rows: the whale's is one of so many */
async function openWithWhale(rows: number, share: number): Promise<PurgeWorld> {
  const world = await createWorld({
    template: template.name,
    config: {
      redis: { keys: [] },
      batch: { maxRows: BATCH_ROWS, connections: 1 },
    },
  });
  worlds.push(world);
  await world.pool.query(`
    create table public.tenants (id text primary key);
    insert into public.tenants values ('whale'), ('kept');
    create table public.items (
      id bigint generated always as identity primary key,
      tenant_id text not null references public.tenants,
      body text not null default 'a body of some forty bytes, give or take'
    ) with (autovacuum_enabled = false);
    insert into public.items (tenant_id)
      select case when n % ${share} = 0 then 'whale' else 'kept' end
      from generate_series(1, ${rows * share}) n;
    create index on public.items (tenant_id)`);
  // A statement of its own: no transaction may be open around it.
  await world.pool.query('vacuum analyze public.items');
  return world;
}

/** Looks at pages of the table and its indexes that `work` costs the server, whatever its speed. */
async function pagesOf(world: PurgeWorld, work: () => Promise<unknown>): Promise<number> {
  const before = await pagesSeen(world);
  await work();
  return (await pagesSeen(world)) - before;
}

/** Sessions tell what they did when they have been idle for ten seconds, or when they end: they end. */
async function pagesSeen(world: PurgeWorld): Promise<number> {
  const observer = new Client({ connectionString: world.config.databaseUrl });
  await observer.connect();
  try {
    await until('every other session has ended', 30_000, async () => {
      const { rowCount } = await observer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()
           and backend_type = 'client backend'`,
      );
      return rowCount === 0 ? true : null;
    });
    const { rows } = await observer.query<{ pages: number }>(
      `select (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::float8 as pages
       from pg_statio_user_tables where relid = 'public.items'::regclass`,
    );
    return rows[0]?.pages ?? Number.NaN;
  } finally {
    await observer.end();
  }
}

async function purgePages(rows: number, share: number): Promise<number> {
  const world = await openWithWhale(rows, share);
  const purge = await world.enqueueOne('whale');
  const pages = await pagesOf(world, () => world.run(purge.id));
  expect(await world.ledgerRows(purge.id)).toEqual({
    'public.items': rows,
    'public.tenants': 1,
  });
  expect(await world.batches(purge.id)).toBeGreaterThanOrEqual(rows / BATCH_ROWS);
  return pages;
}

/** As a purge by statements that each look for the next rows from the beginning of the table. */
async function naivePages(rows: number): Promise<number> {
  const world = await openWithWhale(rows, 1);
  return pagesOf(world, async () => {
    for (let left = rows; left > 0; left -= BATCH_ROWS) {
      await world.pool.query(`delete from public.items where ctid = any(array(
        select ctid from public.items where tenant_id || '' = 'whale' limit ${BATCH_ROWS}))`);
    }
  });
}

test.each([
  ['that owns its table, by ranges of it', ROWS, 1],
  ['that owns a twelfth of its table, by addresses', ROWS / 5, 12],
])(
  '31. a batch of a tenant %s, costs the same after hundreds of others',
  async (_, rows, share) => {
    const few = await purgePages(rows / TIMES, share);
    const many = await purgePages(rows, share);
    expect(many / few).toBeGreaterThan(TIMES * 0.7);
    // Checkpoints and vacuum read pages, too; the way that reads dead rows again comes to 1.6.
    expect(many / few).toBeLessThan(TIMES * 1.45);
  },
  180_000,
);

test('31. the way that was rejected, which reads its own dead rows again, would be noticed by this', async () => {
  const few = await naivePages(ROWS / TIMES);
  const many = await naivePages(ROWS);
  expect(many / few).toBeGreaterThan(TIMES * 1.5);
}, 180_000);
