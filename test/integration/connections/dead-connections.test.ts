import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { ReadGivenUp } from '../../../src/postgres/answer-watch.ts';
import { type Database, openDatabase } from '../../../src/postgres/database.ts';
import { lockFleet, withReconcilerLock } from '../../../src/postgres/ledger/locks.ts';
import { type CopyTarget, runCopying } from '../../../src/postgres/rows/copy-query.ts';
import { readFault } from '../../../src/postgres/sqlstate.ts';
import { TcpProxy } from '../../chaos/tcp-proxy.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

/** A database of a test's own, by way of a proxy and directly. */
interface Link {
  readonly own: TestDatabase;
  readonly proxy: TcpProxy;
  /** By the proxy. */
  readonly database: Database;
  readonly direct: Database;
}

async function withLink(work: (link: Link) => Promise<void>): Promise<void> {
  const own = await createDatabase({ name: 'dead' });
  const proxy = await TcpProxy.open(Number(new URL(own.url).port));
  const url = new URL(own.url);
  url.hostname = '127.0.0.1';
  url.port = String(proxy.port);
  const name = `tenant-purge ${own.name}`;
  const [database, direct] = [await open(url.href, name), await open(own.url, 'direct')];
  try {
    await work({ own, proxy, database, direct });
  } finally {
    if (!database.pool.ended) await database.close();
    await direct.close();
    await proxy.close();
    await own.drop();
  }
}

const open = (url: string, applicationName: string): Promise<Database> =>
  openDatabase({ url, connectionsMax: 3, applicationName });

/** Sessions of the program that are asleep at our request. */
async function sleepers({ direct }: Link): Promise<number> {
  const { rows } = await direct.pool.query(
    `select count(*)::int as n from pg_stat_activity
     where datname = current_database() and wait_event = 'PgSleep'`,
  );
  return rows[0]?.n ?? 0;
}

const asleep = (link: Link): Promise<true> =>
  until('the server works on it', 5_000, async () => ((await sleepers(link)) > 0 ? true : null));

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  );
}

test.concurrent('a read on a connection that died in silence fails as on a lost one within seconds, and the pool has new ones at once', () =>
  withLink(async ({ proxy, database }) => {
    await Promise.all([1, 2, 3].map(() => database.pool.query('select pg_sleep(0.1)')));
    expect(proxy.strand()).toBe(3);
    const startedAt = performance.now();
    const error = await failure(database.pool.query('select 1'));
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    expect(readFault(error)).toMatchObject({ faultClass: 'back-off', sqlState: null });
    expect(String(error)).toContain('the server does not work on the statement any more');
    const againAt = performance.now();
    expect((await database.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(performance.now() - againAt).toBeLessThan(2_000);
  }));

test.concurrent('a statement whose connection died while the server worked on it fails soon after the server is done', () =>
  withLink(async (link) => {
    const { proxy, database } = link;
    const read = failure(database.pool.query('select pg_sleep(7)'));
    await asleep(link);
    proxy.strand();
    const startedAt = performance.now();
    expect(readFault(await read).faultClass).toBe('back-off');
    const tookMs = performance.now() - startedAt;
    expect(tookMs).toBeGreaterThan(6_500);
    expect(tookMs).toBeLessThan(17_000);
  }));

test.concurrent('an answer too large for the network to hold does not make a dead connection look alive', () =>
  withLink(async ({ proxy, database, direct }) => {
    const read = failure(
      database.pool.query(
        `select repeat('x', 10000), pg_sleep(0.0001) from generate_series(1, 8000)`,
      ),
    );
    await until('the answer has begun', 5_000, async () => {
      const { rows } = await direct.pool.query(
        `select from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`,
      );
      return rows.length > 0 ? true : null;
    });
    proxy.strand();
    const startedAt = performance.now();
    expect(readFault(await read).faultClass).toBe('back-off');
    expect(performance.now() - startedAt).toBeLessThan(17_000);
  }));

test.concurrent('a slow statement on a connection that lives is let be, in and outside of a transaction', () =>
  withLink(async ({ database }) => {
    const client = await database.pool.connect();
    await client.query('begin');
    const inside = client.query('select pg_sleep(12)');
    const outside = database.pool.query(`select 'done' as answer from pg_sleep(12)`);
    expect((await outside).rows).toEqual([{ answer: 'done' }]);
    await inside;
    await client.query('commit');
    client.release();
  }));

test.concurrent('an open transaction in which nothing is asked is let be', () =>
  withLink(async ({ database }) => {
    const client = await database.pool.connect();
    await client.query('begin');
    await database.pool.query('select pg_sleep(8)');
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.query('commit');
    client.release();
  }));

test.concurrent('where the server does not tell what it works on, a slow statement is let be', () =>
  withLink(async ({ own, database, direct }) => {
    await direct.pool.query(`alter database ${own.name} set track_activities = off`);
    const read = database.pool.query(`select 'done' as answer from pg_sleep(12)`);
    expect((await read).rows).toEqual([{ answer: 'done' }]);
  }));

test.concurrent('a process in a hurry gives up its reads, and the server stops working on them', () =>
  withLink(async (link) => {
    const { database } = link;
    const read = failure(database.pool.query('select pg_sleep(60)'));
    await asleep(link);
    const startedAt = performance.now();
    const unhurry = database.hurry();
    expect(await read).toBeInstanceOf(ReadGivenUp);
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    await until('the server has stopped', 5_000, async () =>
      (await sleepers(link)) === 0 ? true : null,
    );
    unhurry();
    await database.pool.query('select pg_sleep(4)');
  }));

test.concurrent('a process in a hurry lets a batch, which has a deadline of its own, finish', () =>
  withLink(async (link) => {
    const { database } = link;
    const batch = database.pool.query({
      text: `select 'done' as answer from pg_sleep(4)`,
      query_timeout: 30_000,
    } as { text: string });
    await asleep(link);
    const unhurry = database.hurry();
    expect((await batch).rows).toEqual([{ answer: 'done' }]);
    unhurry();
  }));

/** COPY to a reader that takes nothing before `release` resolves. */
async function copyHeld({ database }: Link, release: Promise<unknown>): Promise<void> {
  const client = await database.pool.connect();
  let isHeld = false;
  const held: CopyTarget = {
    write: () => {
      const goesOn = isHeld;
      isHeld = true;
      return goesOn;
    },
    drained: async () => {
      await release;
    },
  };
  const text = `copy (select repeat('x', 1000) from generate_series(1, 50000)) to stdout`;
  try {
    await runCopying(client, { text, query_timeout: 60_000 }, held);
    client.release();
  } catch (error) {
    client.release(error as Error);
    throw error;
  }
}

test.concurrent('a COPY whose reader is slow is let be', () =>
  withLink(async (link) => {
    await copyHeld(link, pause(12_000));
  }));

test.concurrent('a COPY on a connection that died in silence fails long before its own deadline', () =>
  withLink(async ({ proxy, database }) => {
    const client = await database.pool.connect();
    expect(proxy.strand()).toBe(1);
    const target: CopyTarget = { write: () => true, drained: () => Promise.resolve() };
    const message = { text: 'copy (select 1) to stdout', query_timeout: 60_000 };
    const startedAt = performance.now();
    const error = await failure(runCopying(client, message, target));
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    expect(readFault(error).faultClass).toBe('back-off');
    client.release(error as Error);
  }));

test.concurrent('the lock of a reconciler that died in silence is free within seconds, and one that works long keeps it', () =>
  withLink(async ({ proxy, database, direct }) => {
    const ends = new AbortController();
    let isTaken = false;
    const holder = failure(
      withReconcilerLock(database, async () => {
        isTaken = true;
        await once(ends.signal, 'abort');
      }),
    );
    await until('it is taken', 5_000, () => (isTaken ? true : null));
    const tryLock = (): Promise<true | null> =>
      withReconcilerLock(direct, () => Promise.resolve(true as const));
    // Longer than a silent one would keep it.
    const heldUntil = performance.now() + 18_000;
    while (performance.now() < heldUntil) {
      expect(await tryLock()).toBeNull();
      await pause(1_000);
    }
    proxy.strand();
    await until('the lock is free', 25_000, tryLock);
    ends.abort();
    expect(await holder).toBeInstanceOf(Error);
  }));

test.concurrent('locks of a transaction of the ledger whose client died in silence are free within a minute', () =>
  withLink(async ({ proxy, database, direct }) => {
    const died = failure(
      database.ledger.transaction().execute(async (trx) => {
        await lockFleet().execute(trx);
        proxy.strand();
        await sql`select 1`.execute(trx);
      }),
    );
    expect(readFault(await died).faultClass).toBe('back-off');
    await until('the lock is free', 45_000, async () => {
      const { rows } = await direct.pool.query(
        'select pg_try_advisory_xact_lock(1953525093, 0) as free',
      );
      return rows[0]?.free === true ? true : null;
    });
  }));

test.concurrent('closing does not wait for a server that does not take leave', () =>
  withLink(async ({ proxy, database }) => {
    await database.pool.query('select 1');
    proxy.strand();
    const read = failure(database.pool.query('select 1'));
    await until('it has been sent', 1_000, () => (database.pool.idleCount === 0 ? true : null));
    const startedAt = performance.now();
    await database.close();
    expect(await read).toBeInstanceOf(Error);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  }));
