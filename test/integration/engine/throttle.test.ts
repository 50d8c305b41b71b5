import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { EngineParts, Progress } from '../../../src/engine/parts.ts';
import { openDatabase } from '../../../src/postgres/database.ts';
import { ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import { probeLoad, seesLoad } from '../../../src/postgres/load-probe.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { makeThrottle } from '../../../src/runtime/throttle.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld, type WorldOptions } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 5, a: 20 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let others: Client[] = [];
beforeEach(() => {
  others = [];
});
afterEach(async () => {
  await Promise.all(others.map((client) => client.end()));
  await world.close();
});

type ThrottleInput = NonNullable<NonNullable<WorldOptions['config']>['throttle']>;

async function open(throttle: ThrottleInput, batch: object = {}): Promise<void> {
  world = await createWorld({
    template: template.name,
    config: { throttle, batch: { maxRows: 8, connections: 1, ...batch } },
  });
}

/** A session of the application. */
async function connect(): Promise<Client> {
  const client = new Client({
    connectionString: world.config.databaseUrl,
    application_name: 'app session',
  });
  client.on('error', () => undefined);
  await client.connect();
  others.push(client);
  return client;
}

interface Driven {
  readonly seen: Progress[];
  readonly outcome: Promise<unknown>;
}

/** Runs the purge beside the test, with what it showed. */
function drive(purgeId: PurgeId, parts: EngineParts = world.engine()): Driven {
  const seen: Progress[] = [];
  const outcome = world.run(purgeId, {
    parts,
    control: { onProgress: (progress) => seen.push(progress) },
  });
  outcome.catch(() => undefined); // whoever waits for it hears of it
  return { seen, outcome };
}

const holding = (driven: Driven, pattern: RegExp): Promise<string> =>
  until(`the purge holds because of ${pattern}`, 10_000, () => {
    const reason = driven.seen.at(-1)?.holding;
    return reason !== undefined && pattern.test(reason) ? reason : null;
  });

const store = (): ThrottleStore => new ThrottleStore(world.actor.database);

const inLedger = (purgeId: PurgeId): Promise<readonly string[]> =>
  until('the ledger has the reason', 5_000, async () => {
    const { holding: found } = await store().read(purgeId);
    return found?.reasons ?? null;
  });

test('30. holds while an old transaction keeps dead rows, says so everywhere, then goes on', async () => {
  await open({ transactionAgeMsMax: 300 });
  const before = await catalogueChecksum(world.pool, { except: ['a'] });
  const purge = await world.enqueueOne('a');
  const session = await connect();
  await session.query('begin isolation level repeatable read');
  await session.query('select count(*) from public.tenants');
  await until('it is older than the limit', 5_000, async () => {
    const old = await world.value(
      `select clock_timestamp() - xact_start > interval '300 ms' from pg_stat_activity
       where application_name = 'app session' and datname = current_database()`,
    );
    return old === true ? true : null;
  });
  const driven = drive(purge.id);
  const reason = await holding(driven, /transaction of app session \(pid \d+\) has been open for/);
  expect(reason).toMatch(/limit 0\.3 s\)$/);
  expect((await inLedger(purge.id))[0]).toMatch(/app session/);
  const batches = await world.batches(purge.id);
  const sign = await world.actor.purges.lastSignOfLife(purge.id);
  expect(sign?.ageMs).toBeLessThan(2_000);
  expect(await world.batches(purge.id)).toBe(batches);
  await session.query('commit');
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
  expect((await store().read(purge.id)).holding).toBeNull();
  expect(driven.seen.at(-1)).not.toHaveProperty('holding');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('30. holds while a session waits for a lock behind a batch, and lets it through', async () => {
  await open({ lockWaitersMax: 0 });
  const purge = await world.enqueueOne('a');
  const app = await connect();
  const waited: Promise<unknown>[] = [];
  // The batch has deleted its rows and not committed: who wants one of them waits behind it.
  const parts = world.engine(
    actAt('before-commit', 3, async () => {
      const table = await world.value(
        `select l.relation::regclass::text from pg_locks l join pg_stat_activity a using (pid)
         join pg_class c on c.oid = l.relation
         where l.mode = 'RowExclusiveLock' and l.granted and a.datname = current_database()
           and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace limit 1`,
      );
      waited.push(app.query(`begin; lock table ${String(table)} in access exclusive mode; commit`));
      await until('the probe has looked since it waits', 5_000, async () => {
        const seen = await world.value(
          `select exists (
             select from pg_stat_activity app, pg_stat_activity probe
             where app.application_name = 'app session' and app.wait_event_type = 'Lock'
               and app.datname = current_database() and probe.datname = current_database()
               and probe.query like '%BEGIN READ ONLY%' and probe.state = 'idle'
               and probe.query_start > app.query_start)`,
        );
        return seen === true ? true : null;
      });
    }),
  );
  const driven = drive(purge.id, parts);
  await holding(driven, /1 session waits for locks behind the purge \(limit 0\)/);
  await Promise.all(waited);
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
});

test('30. holds while a replication slot retains too much WAL', async () => {
  await open({ slotWalMbMax: 1 });
  const slot = `s_${process.pid}_${Math.floor(performance.now())}`;
  await world.pool.query('select pg_create_physical_replication_slot($1, true)', [slot]);
  try {
    const purge = await world.enqueueOne('a');
    await world.pool.query(
      `create table public.noise as select repeat('x', 1000) as pad from generate_series(1, 8000)`,
    );
    await world.pool.query('drop table public.noise');
    const driven = drive(purge.id);
    const reason = await holding(driven, new RegExp(`replication slot ${slot} retains`));
    expect(reason).toMatch(/of WAL \(limit 1 MB\)/);
    await world.pool.query('select pg_drop_replication_slot($1)', [slot]);
    expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
  } finally {
    await world.pool.query(
      'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1',
      [slot],
    );
  }
});

test('30. holds while autovacuum is late on the table, until it has been there', async () => {
  await open({ vacuumFactorMax: 2 });
  const purge = await world.enqueueOne('a');
  await world.pool.query(`
    alter table public.messages
      set (autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0)`);
  await world.pool.query('update public.messages set pad = pad');
  await until('the statistics know of it', 10_000, async () => {
    const dead = await world.value(
      "select pg_stat_get_dead_tuples('public.messages'::regclass)::int",
    );
    return Number(dead) > 20 ? true : null;
  });
  const driven = drive(purge.id);
  const reason = await holding(driven, /autovacuum is late on public\.messages: \d+ dead rows/);
  expect(reason).toMatch(/\(limit 20\)$/);
  // Its own deletes would be above a threshold that small, too.
  await world.pool.query('alter table public.messages reset (autovacuum_vacuum_threshold)');
  await world.pool.query('vacuum public.messages');
  await world.pool.query('alter table public.messages set (autovacuum_vacuum_threshold = 100000)');
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
});

test('30. a role without pg_monitor probes as well, and is known to see less', async () => {
  await open({});
  const role = `probe_${process.pid}_${Math.floor(performance.now())}`;
  await world.pool.query(`create role ${role} login password 'probe'`);
  const url = new URL(world.config.databaseUrl);
  url.username = role;
  url.password = 'probe';
  try {
    await world.pool.query(`grant usage on schema tenant_purge to ${role}`);
    await world.pool.query(`grant select on tenant_purge.tuning to ${role}`);
    const database = await openDatabase({
      url: url.href,
      connectionsMax: 1,
      applicationName: 'tenant-purge probe',
    });
    try {
      expect(await probeLoad(database, ['public.messages'])).toMatchObject({
        load: { lockWaiters: 0, tables: [{ table: 'public.messages' }] },
        tuning: { fleet: {} },
      });
      expect(await seesLoad(database)).toBe(false);
    } finally {
      await database.close();
    }
    expect(await seesLoad(world.actor.database)).toBe(true);
  } finally {
    await world.pool.query(`drop owned by ${role}`);
    await world.pool.query(`drop role ${role}`);
  }
});

test('30. holds outside the maintenance window, whatever the time of this host', async () => {
  await open({ windows: ['22:00-06:00 Europe/Berlin'] });
  const purge = await world.enqueueOne('a');
  let now = new Date('2026-03-10T20:59:00Z');
  const parts = { ...world.engine(), throttle: makeThrottle(world.actor, () => now) };
  const driven = drive(purge.id, parts);
  const reason = await holding(driven, /outside the maintenance window/);
  expect(reason).toBe('outside the maintenance window (22:00-06:00 Europe/Berlin)');
  expect(await world.batches(purge.id)).toBe(0);
  now = new Date('2026-03-10T21:00:00Z');
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
});

test('a small purge in one transaction holds as well', async () => {
  await open({ windows: ['22:00-06:00 UTC'] }, { smallPurgeRows: 5_000 });
  const purge = await world.enqueueOne('a');
  let now = new Date('2026-03-10T12:00:00Z');
  const parts = { ...world.engine(), throttle: makeThrottle(world.actor, () => now) };
  const driven = drive(purge.id, parts);
  await holding(driven, /outside the maintenance window/);
  now = new Date('2026-03-10T23:00:00Z');
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
});

test.each(['pause', 'cancel'] as const)(
  '%s is obeyed within a second while the purge holds',
  async (name) => {
    await open({ windows: ['22:00-06:00 UTC'] });
    const purge = await world.enqueueOne('a');
    const noon = new Date('2026-03-10T12:00:00Z');
    const parts = { ...world.engine(), throttle: makeThrottle(world.actor, () => noon) };
    const driven = drive(purge.id, parts);
    await inLedger(purge.id);
    const askedAt = performance.now();
    await runCommand(world.actor.reconcile, name, {
      selection: { kind: 'purge', id: purge.id },
      fleet: false,
      operator: 'test',
      waitMs: 0,
    });
    const outcome = await driven.outcome;
    expect(outcome).toMatchObject({ kind: name === 'pause' ? 'paused' : 'cancelled' });
    expect(performance.now() - askedAt).toBeLessThan(1_000);
    expect(await world.batches(purge.id)).toBe(0);
  },
);

test('a shutdown is obeyed within a second while the purge holds', async () => {
  await open({ windows: ['22:00-06:00 UTC'] });
  const purge = await world.enqueueOne('a');
  const noon = new Date('2026-03-10T12:00:00Z');
  let stop: string | null = null;
  const outcome = world.run(purge.id, {
    parts: { ...world.engine(), throttle: makeThrottle(world.actor, () => noon) },
    control: { stopReason: () => Promise.resolve(stop) },
  });
  await inLedger(purge.id);
  const askedAt = performance.now();
  stop = 'the worker shuts down';
  expect(await outcome).toMatchObject({ kind: 'yielded' });
  expect(performance.now() - askedAt).toBeLessThan(1_000);
});

test('a holder that lost its purge while it held ends without a word', async () => {
  await open({ windows: ['22:00-06:00 UTC'] });
  const purge = await world.enqueueOne('a');
  const noon = new Date('2026-03-10T12:00:00Z');
  const parts = { ...world.engine(), throttle: makeThrottle(world.actor, () => noon) };
  const driven = drive(purge.id, parts);
  await inLedger(purge.id);
  const night = makeThrottle(world.actor, () => new Date('2026-03-10T23:00:00Z'));
  const successor = drive(purge.id, { ...world.engine(), throttle: night });
  expect(await driven.outcome).toMatchObject({ kind: 'superseded' });
  expect(await successor.outcome).toMatchObject({ kind: 'awaiting-sweep' });
});

test('deletes at the cap on rows per second, turned on in mid-run, and audits who did', async () => {
  await open({}, { maxRows: 4 });
  const purge = await world.enqueueOne('a');
  await store().tune(purge.id, { kind: 'set', knobs: { maxRowsPerSec: 24 } }, 'anna@ops');
  const driven = drive(purge.id);
  await until('some rows are gone', 10_000, async () => ((await gone()) >= 8 ? true : null));
  const from = { at: performance.now(), rows: await gone() };
  await until('time enough has passed', 20_000, () =>
    performance.now() - from.at > 3_500 ? true : null,
  );
  const rate = ((await gone()) - from.rows) / ((performance.now() - from.at) / 1_000);
  expect(rate).toBeGreaterThan(24 * 0.9 - 1);
  expect(rate).toBeLessThan(24 * 1.1 + 1);
  expect(driven.seen.some(({ holding: reason }) => reason === 'at most 24 rows/s')).toBe(true);
  await store().tune(purge.id, { kind: 'clear' }, 'anna@ops');
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
  const { rows: events } = await world.pool.query(
    `select kind, actor, details from tenant_purge.event where purge_id = $1 and kind like 'tun%' order by id`,
    [purge.id],
  );
  expect(events).toEqual([
    { kind: 'tuned', actor: 'anna@ops', details: { maxRowsPerSec: 24 } },
    { kind: 'tuning cleared', actor: 'anna@ops', details: {} },
  ]);

  async function gone(): Promise<number> {
    return Number(
      await world.value(
        'select coalesce(sum(rows), 0)::int from tenant_purge.batch where purge_id = $1',
        [purge.id],
      ),
    );
  }
});

test('a small purge that is more than the cap allows goes by batches', async () => {
  await open({ rowsPerSecMax: 100 }, { smallPurgeRows: 5_000, maxRows: 1_000 });
  const purge = await world.enqueueOne('a');
  expect(purge.rowsTotal).toBeGreaterThan(100);
  const driven = drive(purge.id);
  expect(await driven.outcome).toMatchObject({ kind: 'awaiting-sweep' });
  const largest = await world.value(
    'select max(rows)::int from tenant_purge.batch where purge_id = $1',
    [purge.id],
  );
  expect(largest).toBeLessThanOrEqual(40);
});

test('a probe that fails is told once and fails nothing', async () => {
  await open({ transactionAgeMsMax: 100 });
  const purge = await world.enqueueOne('a');
  const warnings: string[] = [];
  const log = {
    info: () => undefined,
    error: () => undefined,
    warn: (_: object, text: string) => warnings.push(text),
  };
  await world.pool.query('alter table tenant_purge.tuning rename to elsewhere');
  const parts = { ...world.engine(), throttle: makeThrottle({ ...world.actor, log }) };
  expect(await drive(purge.id, parts).outcome).toMatchObject({ kind: 'awaiting-sweep' });
  expect(warnings).toEqual(['the load probe failed; purges go on without it']);
});
