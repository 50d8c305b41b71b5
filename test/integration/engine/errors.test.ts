import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ErrorReport } from '../../../src/domain/errors.ts';
import type { Failpoint, FailpointName } from '../../../src/engine/failpoints.ts';
import type { Actor } from '../../../src/runtime/actor.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 6 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
const clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end().catch(() => undefined)));
  await world.close();
});

const start = async (batch: object = {}): Promise<void> => {
  world = await createWorld({ template: template.name, config: { batch } });
};

/** A session of the application's own. */
async function application(): Promise<Client> {
  const client = new Client({ connectionString: world.config.databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  clients.push(client);
  return client;
}

const raiseAt = (table: string, body: string): Promise<unknown> =>
  world.pool.query(`create function app.refuse() returns trigger language plpgsql as $$ begin
      ${body}; end $$;
    create trigger refuse before delete on ${table} for each row execute function app.refuse()`);

/** Tables change while the purge runs: nothing that the fingerprint of the plan knows of. */
const meanwhile = (sql: string): Failpoint =>
  actAt('batch-committed', 1, async () => {
    await world.pool.query(sql);
  });

/**
 * Runs the purge of the doomed tenant, which ends badly after one try that failed; what is left of the tenant
 * can be purged once `mend` has run, and the kept tenant never changes.
 */
async function endsBadly(
  failpoint: Failpoint | undefined,
  mend: string,
  actor: Actor = world.actor,
): Promise<ErrorReport> {
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  let failed = 0;
  const counted: Failpoint = async (name) => {
    if (name === 'before-batch') failed += 1;
    if (name === 'batch-committed' || name === 'step-done') failed -= 1;
    await failpoint?.(name);
  };
  const outcome = await world.run(id, { parts: world.engine(counted, actor) });
  if (outcome.kind !== 'failed') throw new Error(`the purge is ${JSON.stringify(outcome)}`);
  expect((await world.find(id)).status).toBe('failed');
  expect(failed).toBe(1);
  expect(await catalogueChecksum(world.pool, { except: ['doomed'] })).toEqual(before);
  await world.pool.query(mend);
  await world.enqueueOne('doomed');
  world.startWorker();
  await world.untilEnded();
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  return outcome.error;
}

test('a trigger that raises stops the purge at once, with its function and message', async () => {
  await start({ connections: 1 });
  await raiseAt('app.events', `raise exception 'events are for ever' using detail = 'secret'`);
  const error = await endsBadly(undefined, 'drop function app.refuse() cascade');
  expect(error).toMatchObject({
    code: 'ROW_REFUSED',
    message: expect.stringContaining('by app.refuse at app.events (P0001): events are for ever'),
    remedy: expect.stringContaining('disable the trigger'),
    details: { sqlState: 'P0001', raisedBy: 'app.refuse' },
  });
  expect(JSON.stringify(error)).not.toContain('secret');
});

test('a privilege that is taken away in mid-run stops the purge at once, and names the table', async () => {
  await start({ connections: 1 });
  const role = `purger_${randomBytes(6).toString('hex')}`;
  await world.pool.query(`create role ${role} login password 'purger';
    grant usage on schema public, app, tenant_purge to ${role};
    grant all on all tables in schema public, app, tenant_purge to ${role};
    grant all on all sequences in schema tenant_purge to ${role}`);
  try {
    const url = new URL(world.config.databaseUrl);
    url.username = role;
    url.password = 'purger';
    const actor = await world.composeOther({ environment: { DATABASE_URL: url.href } });
    const revoke = `revoke delete on app.events, app.events_2025, app.events_2026 from ${role}`;
    const error = await endsBadly(meanwhile(revoke), 'select 1', actor);
    expect(error).toMatchObject({
      code: 'PRIVILEGE_MISSING',
      message: expect.stringContaining('permission denied for table events_202'),
      remedy: expect.stringContaining('GRANT'),
    });
  } finally {
    await world.pool.query(`drop owned by ${role}; drop role ${role}`);
  }
});

test('a table that is published without replica identity in mid-run stops the purge at once', async () => {
  await start({ connections: 1 });
  // No primary key, so that it has no identity by default either.
  const error = await endsBadly(
    meanwhile('create publication p for table app.events_2025, app.events_2026'),
    'drop publication p',
  );
  expect(error).toMatchObject({
    code: 'ROW_REFUSED',
    message: expect.stringContaining('55000'),
    remedy: expect.stringContaining('REPLICA IDENTITY'),
  });
});

test('a CHECK that a cleared reference breaks stops the purge at once, without the contents of the row', async () => {
  await start({ connections: 1 });
  const error = await endsBadly(
    actAt('preflight-done', 1, async () => {
      await world.pool.query(
        'alter table public.workspaces add constraint has_agent check (default_agent_id is not null)',
      );
    }),
    'alter table public.workspaces drop constraint has_agent',
  );
  expect(error).toMatchObject({
    code: 'ROW_REFUSED',
    details: { sqlState: '23514', constraint: 'has_agent', table: 'public.workspaces' },
    remedy: expect.stringContaining('CHECK has_agent'),
  });
  expect(JSON.stringify(error)).not.toContain('xxx');
});

test("another tenant's row that refers in mid-run stops the purge without a second walk, with both keys", async () => {
  await start({ connections: 1 });
  await world.pool.query(`create table public.notes (id int primary key,
      tenant_id text not null references public.tenants, agent_id bigint references public.agents);
    create index on public.notes (tenant_id); create index on public.notes (agent_id)`);
  const agent = Number(
    await world.value(`select min(id) from public.agents where tenant_id = 'doomed'`),
  );
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  let walks = 0;
  const refers = meanwhile(`insert into public.notes values (1, 'kept', ${agent})`);
  const failpoint: Failpoint = async (name) => {
    await refers(name);
    if (name !== 'level-entered') return;
    if ((await world.find(id)).level === (await firstLevel())) walks += 1;
  };
  const firstLevel = (): Promise<unknown> =>
    world.value(`select details->>'level' from tenant_purge.event
      where kind = 'level entered' order by id limit 1`);
  expect(await world.run(id, { parts: world.engine(failpoint) })).toMatchObject({
    kind: 'failed',
    error: {
      code: 'FOREIGN_REFERENCE',
      message: expect.stringContaining('id = 1 (of tenant kept'),
      details: { constraint: 'notes_agent_id_fkey', key: `id = ${agent}` },
    },
  });
  expect(walks).toBe(1);
  await world.pool.query('delete from public.notes');
  expect(await catalogueChecksum(world.pool, { except: ['doomed'] })).toEqual(before);
});

/** The purge completes under a worker although `trouble` met it; nothing is lost or doubled. */
async function survives(point: FailpointName, trouble: () => Promise<void>): Promise<void> {
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  let met = false;
  world.startWorker(
    actAt(point, 2, async () => {
      met = true;
      await trouble();
    }),
  );
  const ended = await world.untilStatus(id, 'completed');
  expect(met).toBe(true);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  const { redis: _, ...tables } = await world.ledgerRows(id);
  expect(Object.values(tables).reduce((sum, rows) => sum + rows, 0)).toBe(ended.rowsDeleted);
}

test('a deadlock with the application is tried again', async () => {
  await start({ connections: 1, lockTimeoutMs: 10_000, statementTimeoutMs: 20_000 });
  await raiseAt('app.events', 'perform pg_advisory_xact_lock(4711); return old');
  const other = await application();
  // The session that looks for the deadlock ends itself: this one is slower to look than the batch.
  await other.query(
    `begin; set local deadlock_timeout = '30s'; select pg_advisory_xact_lock(4711)`,
  );
  const batchWaits = until('the batch has rows and waits for the lock', 20_000, async () => {
    const waits = `select exists (select from pg_locks
      where locktype = 'advisory' and objid = 4711 and not granted)`;
    return (await world.value(waits)) === true ? true : null;
  });
  const cross = async (): Promise<void> => {
    await batchWaits;
    await other.query(`update app.events set pad = 'changed' where tenant_id = 'doomed'`);
    await other.query('rollback');
  };
  await Promise.all([survives('before-batch', () => Promise.resolve()), cross()]);
  await until('the server counts a deadlock', 10_000, async () => {
    const count = 'select deadlocks::int from pg_stat_database where datname = current_database()';
    return Number(await world.value(count)) > 0 ? true : null;
  });
});

test.each([
  ['between two batches', 'before-batch'],
  ['with rows deleted and not committed', 'before-commit'],
] as const)('a connection ended by the server %s is made anew', async (_, point) => {
  await start();
  await survives(point, async () => {
    await world.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()
         and application_name like 'tenant-purge%'`,
    );
  });
});

test('a lock that the application holds beyond all tries interrupts the purge, which comes back by itself', async () => {
  await start({ lockTimeoutMs: 20, connections: 1 });
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const holder = await application();
  await holder.query(`begin; select from app.events where tenant_id = 'doomed' for update`);
  const { id } = await world.enqueueOne('doomed');
  world.startWorker();
  const interrupted = await until('the purge is interrupted', 20_000, async () => {
    const purge = await world.find(id);
    return purge.status === 'interrupted' ? purge : null;
  });
  expect(interrupted.error).toMatchObject({
    code: 'INTERRUPTED',
    message: expect.stringContaining(`Purge ${id} was interrupted at app.events: `),
    remedy: expect.stringContaining('lockTimeoutMs'),
    details: { sqlState: '55P03' },
  });
  await holder.query('rollback');
  await world.untilStatus(id, 'completed', 30_000);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('a server that takes no writes for now interrupts the purge, which says what to do and comes back', async () => {
  await start({ connections: 1 });
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  // The ledger can still be written, so that it tells; the table behaves as on a standby.
  await raiseAt(
    'app.events',
    `raise read_only_sql_transaction using message = 'cannot execute DELETE in a read-only transaction'`,
  );
  const { id } = await world.enqueueOne('doomed');
  expect(await world.run(id)).toMatchObject({
    kind: 'interrupted',
    error: { details: { sqlState: '25006' }, remedy: expect.stringContaining('primary') },
  });
  await world.pool.query(`create or replace function app.refuse() returns trigger
    language plpgsql as $$ begin return old; end $$`);
  world.startWorker();
  await world.untilStatus(id, 'completed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

/** What a batch may hold on tables of the application: nothing that blocks a reader or a writer. */
const HARMLESS = ['AccessShareLock', 'RowShareLock', 'RowExclusiveLock'];

test("a batch under way keeps nobody from reading and writing other tenants' rows of its tables", async () => {
  await start({ connections: 1 });
  const modes = new Set<string>();
  const tables = new Set<string>();
  const others = await application();
  await others.query(`set lock_timeout = '1s'`);
  const { id } = await world.enqueueOne('doomed');
  const failpoint: Failpoint = async (name) => {
    if (name !== 'before-commit') return;
    const { rows } = await others.query(
      `select l.mode, c.oid::regclass::text as table from pg_locks l
       join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('public', 'app') and l.pid <> pg_backend_pid()`,
    );
    for (const row of rows) {
      modes.add(row.mode);
      tables.add(row.table);
    }
    await others.query(`begin;
      insert into public.workspaces (tenant_id, pad) values ('kept', 'new');
      insert into app.events values ('kept', '2026-01-05', 'new');
      update public.conversations set pad = 'changed' where tenant_id = 'kept';
      update public.messages set pad = 'changed' where conversation_id in
        (select id from public.conversations where tenant_id = 'kept');
      update public.agents set pad = 'changed' where tenant_id = 'kept';
      update public.tenants set name = 'changed' where id = 'kept';
      delete from app.events where tenant_id = 'kept';
      select count(*) from public.agents;
      rollback`);
  };
  expect((await world.run(id, { parts: world.engine(failpoint) })).kind).toBe('awaiting-sweep');
  expect([...modes].filter((mode) => !HARMLESS.includes(mode))).toEqual([]);
  expect([...tables]).toEqual(
    expect.arrayContaining(['app.events_2025', 'agents', 'conversations', 'messages', 'tenants']),
  );
});
