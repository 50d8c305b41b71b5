import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, doomed: 6 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let admin: Client;
beforeEach(async () => {
  world = await createWorld({ template: template.name, config: { batch: { maxRows: 4 } } });
  admin = new Client({ connectionString: world.config.databaseUrl });
  await admin.connect();
});
afterEach(async () => {
  await admin.end();
  await world.close();
});

/** New sessions of the program lead to a server that takes no writes, as after a failover. */
async function becomeReadOnly(): Promise<void> {
  await alter('set default_transaction_read_only = on');
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'tenant-purge%'`,
  );
}

async function alter(what: string): Promise<void> {
  const { rows } = await admin.query('select quote_ident(current_database()) as name');
  await admin.query(`alter database ${rows[0]?.name} ${what}`);
}

/** Sessions of the program that were opened while the server was read-only. */
const openSessions = async (): Promise<number> => {
  const { rows } = await admin.query(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and application_name like 'tenant-purge%'`,
  );
  return rows[0]?.n;
};

test('a purge under way leaves the sessions to a server that became read-only, and goes on at its successor', async () => {
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  let reached = 0;
  const parts = world.engine(async (point) => {
    if (point !== 'before-batch') return;
    reached += 1;
    if (reached === 4) {
      await becomeReadOnly();
      // Every connection of the pool is one to the server that takes no writes.
      await Promise.all(
        Array.from({ length: 4 }, () => world.actor.database.pool.query('select pg_sleep(0.1)')),
      ).catch(() => undefined);
    }
    if (reached === 6) await alter('reset default_transaction_read_only');
  });
  expect((await world.run(id, { parts })).kind).toBe('awaiting-sweep');
  const { rows } = await world.pool.query(
    `select kind from tenant_purge.event where purge_id = $1 and kind = 'interrupted'`,
    [id],
  );
  expect(rows).toEqual([]);
  expect(reached).toBeGreaterThan(6);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('a ledger that was refused a write is written by a new session', async () => {
  const { id } = await world.enqueueOne('doomed');
  await world.pool.query(`select tenant_purge.claim_purge($1, 'test')`, [id]);
  const purge = await world.find(id);
  await becomeReadOnly();
  const renumber = (): Promise<unknown> =>
    world.actor.purges.renumberJob(purge).catch((error: { code?: string }) => error.code);
  await until('the sessions are read-only', 10_000, async () =>
    (await renumber()) === '25006' ? true : null,
  );
  const idle = Array.from({ length: 4 }, () =>
    world.actor.database.pool.query('select pg_sleep(0.1)'),
  );
  await Promise.all(idle);
  expect(await renumber()).toBe('25006');
  // The one that was refused is gone, and so are its neighbours.
  await until('they have ended', 5_000, async () => ((await openSessions()) === 0 ? true : null));
  await alter('reset default_transaction_read_only');
  expect(await renumber()).toBe(purge.jobNumber + 1);
});
