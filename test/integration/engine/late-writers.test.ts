import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
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

async function start(config: object = {}): Promise<unknown> {
  world = await createWorld({ template: template.name, config });
  return catalogueChecksum(world.pool, { except: ['doomed'] });
}

/** A row below each of these tables, as long as its parent is there. */
const LATE = {
  'public.messages': `insert into public.messages (conversation_id, pad)
    select id, 'late' from public.conversations where tenant_id = 'doomed' limit 1`,
  'public.conversations': `insert into public.conversations (tenant_id, agent_id, pad)
    select tenant_id, id, 'late' from public.agents where tenant_id = 'doomed' limit 1`,
  'public.agents': `insert into public.agents (tenant_id, workspace_id, pad)
    select tenant_id, id, 'late' from public.workspaces where tenant_id = 'doomed' limit 1`,
  'app.events': `insert into app.events
    select id, '2026-01-05', 'late' from public.tenants where id = 'doomed'`,
} as const;

const done = (table: string): Promise<unknown> =>
  world.value(
    `select coalesce(bool_and(done), false) from tenant_purge.checkpoint where step = $1`,
    [`delete ${table}`],
  );

test.each(Object.entries(LATE))(
  '23. a row that appears in %s once that table is done is found by another walk',
  async (table, insert) => {
    const before = await start();
    const { id, rowsTotal } = await world.enqueueOne('doomed');
    let inserted: number | null = null;
    world.startWorker(async (point) => {
      if (point !== 'before-batch' || (await done(table)) !== true || inserted !== null) return;
      inserted = 0;
      inserted = (await world.pool.query(insert)).rowCount ?? 0;
    });
    const ended = await world.untilStatus(id, 'completed');
    expect(inserted).toBe(1);
    expect(ended.rowsDeleted).toBe(rowsTotal + 1);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test.each(['public.messages', 'app.events'] as const)(
  '23. a small purge whose transaction meets a new row of %s tries again and takes it',
  async (table) => {
    const before = await start({ batch: { smallPurgeRows: 5_000 } });
    // A trigger stands for a session that inserts between two statements of the transaction.
    await world.pool.query(`
      create sequence public.fired;
      create function public.write_late() returns trigger language plpgsql as $$ begin
        if nextval('public.fired') = 1 then ${LATE[table]}; end if; return null; end $$;
      create trigger late after delete on public.settings for each statement
        execute function public.write_late()`);
    const { id } = await world.enqueueOne('doomed');
    world.startWorker();
    await world.untilStatus(id, 'completed');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test('23. a row that arrives after the last level is found by the verification', async () => {
  const before = await start({ tenant: { table: 'public.tenants', key: 'id' } });
  await world.pool.query('alter table app.events drop constraint events_tenant_id_fkey');
  const { id, rowsTotal } = await world.enqueueOne('doomed');
  world.startWorker(
    actAt('before-sweep', 1, async () => {
      await world.pool.query(`insert into app.events values ('doomed', '2026-01-05', 'late')`);
    }),
  );
  const ended = await world.untilStatus(id, 'completed');
  expect(ended.rowsDeleted).toBe(rowsTotal + 1);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('40. rows that keep arriving end the purge as incomplete, with what is left', async () => {
  await start({ batch: { maxPasses: 3 } });
  await world.pool.query('alter table app.events drop constraint events_tenant_id_fkey');
  const { id } = await world.enqueueOne('doomed');
  world.startWorker(async (point) => {
    if (point === 'batch-committed' || point === 'before-sweep' || point === 'before-seal') {
      await world.pool.query(`insert into app.events values ('doomed', '2026-01-05', 'late')`);
    }
  });
  const ended = await world.untilStatus(id, 'incomplete');
  expect(ended.error?.code).toBe('RESIDUE');
  expect(ended.residue.map(({ table }) => table)).toContain('app.events');
});

test('40. rows that keep arriving below a table to delete end as incomplete, not as a strange reference', async () => {
  await start();
  const { id } = await world.enqueueOne('doomed');
  world.startWorker(async (point) => {
    if (point === 'before-batch' && (await done('app.events')) === true) {
      await world.pool.query(LATE['app.events']);
    }
  });
  const ended = await world.untilStatus(id, 'incomplete');
  expect(ended.error?.message).toContain('app.events');
  expect(ended.residue.map(({ table }) => table)).toContain('app.events');
});

test('40. rows that keep arriving are reported with the role and application that write them', async () => {
  await start({ batch: { maxPasses: 3 } });
  await world.pool.query('alter table app.events drop constraint events_tenant_id_fkey');
  const connect = async (name: string): Promise<Client> => {
    const client = new Client({
      connectionString: world.config.databaseUrl,
      application_name: name,
    });
    await client.connect();
    return client;
  };
  const billing = await connect('billing');
  const reader = await connect('reports');
  const importer = await connect('importer');
  try {
    await reader.query('select count(*) from app.events');
    await importer.query(`begin; insert into app.events values ('kept', '2026-01-05', 'open')`);
    const { id } = await world.enqueueOne('doomed');
    world.startWorker(async (point) => {
      if (point === 'batch-committed' || point === 'before-sweep' || point === 'before-seal') {
        await billing.query(`insert into app.events values ('doomed', '2026-01-05', 'late')`);
      }
    });
    const { error, residue } = await world.untilStatus(id, 'incomplete');
    const left = residue.find(({ table }) => table === 'app.events');
    expect(left?.count).toBeGreaterThan(0);
    expect(error?.details['residue']).toEqual(residue);
    expect(error?.details['writers']).toMatchObject([
      { application: 'importer', evidence: 'open', sessions: 1, tables: ['app.events'] },
      { application: 'billing', evidence: 'last', sessions: 1, tables: ['app.events'] },
    ]);
    expect(error?.message).toMatch(
      /application billing as role \w+.*: its last statement names app.events/,
    );
    expect(error?.message).toContain(`app.events: ${left?.count} row`);
    expect(error?.message).not.toContain('reports');
  } finally {
    await Promise.all([billing.end(), reader.end(), importer.end()]);
  }
});
