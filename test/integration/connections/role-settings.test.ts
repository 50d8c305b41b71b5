import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { PurgeId } from '../../../src/domain/ids.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { actAt, openWorld, type PurgeWorld } from '../../support/purge-world.ts';
import { claimRedisDatabase } from '../../support/redis.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 12 }));
});
afterAll(() => template?.drop());

let world: PurgeWorld;
afterEach(() => world?.close());

/** A world whose database has these settings for every session, as a DBA sets them for a role. */
async function openWith(settings: Readonly<Record<string, string>>): Promise<void> {
  const [database, redis] = await Promise.all([
    createDatabase({ name: 'set', template: template.name }),
    claimRedisDatabase(),
  ]);
  const drop = async (): Promise<void> => {
    await Promise.all([database.drop(), redis.release()]);
  };
  const admin = new Client({ connectionString: database.url });
  await admin.connect();
  for (const [name, value] of Object.entries(settings)) {
    await admin.query(`alter database ${database.name} set ${name} = '${value}'`);
  }
  await admin.end();
  const place = { databaseUrl: database.url, redisUrl: redis.url, drop };
  world = await openWorld(place, { config: { batch: { maxRows: 1_000, connections: 1 } } });
}

const waitingForLocks = (type: string): Promise<unknown> =>
  world.value(
    `select count(*)::int from pg_locks where locktype = $1 and not granted
       and database = (select oid from pg_database where datname = current_database())`,
    [type],
  );

/**
 * Another program claims the purge while the batch of the first waits to enter.
 * @param onClaim called just before the claim is committed
 */
async function claimWhileItWaits(purgeId: PurgeId, onClaim: () => Promise<void>): Promise<void> {
  const other = await world.pool.connect();
  await other.query('begin isolation level read committed');
  await other.query('select pg_advisory_xact_lock(1953525094, hashtext($1))', [purgeId]);
  const finish = async (): Promise<void> => {
    try {
      await until('the batch waits to enter', 10_000, async () =>
        (await waitingForLocks('advisory')) === 0 ? null : true,
      );
      await other.query('update tenant_purge.purge set fence = fence + 1 where id = $1', [purgeId]);
      await onClaim();
      await other.query('commit');
    } finally {
      other.release();
    }
  };
  finish().catch(() => undefined);
}

test.each(['repeatable read', 'serializable'])(
  '19. a batch that waited for a new holder commits nothing, although the role reads %s by default',
  async (isolation) => {
    await openWith({ default_transaction_isolation: isolation });
    const { id } = await world.enqueueOne('doomed');
    let atClaim: unknown = null;
    const everything = async (): Promise<unknown> => ({
      rows: await catalogueChecksum(world.pool, { except: [] }),
      // Also of a batch that found no row to delete.
      checkpoints: await world.value('select json_agg(c)::text from tenant_purge.checkpoint c'),
    });
    const parts = world.engine(
      actAt('before-batch', 1, () =>
        claimWhileItWaits(id, async () => {
          atClaim = await everything();
        }),
      ),
    );
    const outcome = await world.run(id, { parts });
    expect(outcome.kind).toBe('superseded');
    expect(atClaim).not.toBeNull();
    expect(await everything()).toEqual(atClaim);
    expect(await world.batches(id)).toBe(0);
    expect(await world.find(id)).toMatchObject({ status: 'running', fence: 2 });
  },
);

test('a whole purge goes through where the role reads serializable by default', async () => {
  await openWith({ default_transaction_isolation: 'serializable' });
  const others = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const { id } = await world.enqueueOne('doomed');
  world.startWorker();
  await world.untilStatus(id, 'completed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(others);
});

test("a read that outlasts the role's statement_timeout does not end the purge", async () => {
  await openWith({ statement_timeout: '500ms', idle_in_transaction_session_timeout: '500ms' });
  const { id } = await world.enqueueOne('doomed');
  let released: Promise<unknown> = Promise.resolve();
  const parts = world.engine(
    actAt('preflight-done', 1, async () => {
      const holder = await world.pool.connect();
      await holder.query(
        'begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0',
      );
      await holder.query('lock table public.messages in access exclusive mode');
      const release = async (): Promise<void> => {
        try {
          await until('a read has waited for the table', 10_000, async () =>
            (await world.value(
              `select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'
                 and datname = current_database() and clock_timestamp() - query_start > interval '1 s'`,
            )) === 0
              ? null
              : true,
          );
        } finally {
          await holder.query('commit');
          holder.release();
        }
      };
      released = release();
    }),
  );
  const outcome = await world.run(id, { parts });
  await released;
  expect(outcome).toMatchObject({ kind: 'awaiting-sweep' });
  expect(await world.ledgerRows(id)).toMatchObject({ 'public.messages': 24 });
});

test("a command waits for a batch in flight beyond the role's statement_timeout", async () => {
  await openWith({ statement_timeout: '500ms' });
  const { id } = await world.enqueueOne('doomed');
  const purge = await world.find(id);
  const holder = await world.pool.connect();
  await holder.query('begin; set local statement_timeout = 0');
  await holder.query('select pg_advisory_xact_lock_shared(1953525094, hashtext($1))', [id]);
  const request = { operator: 'test', fleet: false };
  const drained = world.actor.commands.drain([purge], request, 10_000);
  await until('it has waited for longer than that', 10_000, async () =>
    (await world.value(
      `select count(*)::int from pg_stat_activity where wait_event = 'advisory'
         and datname = current_database() and clock_timestamp() - query_start > interval '1 s'`,
    )) === 0
      ? null
      : true,
  );
  await holder.query('commit');
  holder.release();
  expect(await drained).toEqual([]);
});
