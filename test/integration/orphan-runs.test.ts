import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asTableName } from '../../src/domain/ids.ts';
import { type Database, openDatabase } from '../../src/postgres/database.ts';
import { OrphanArchives } from '../../src/postgres/ledger/orphan-archives.ts';
import { OrphanRunStore } from '../../src/postgres/ledger/orphan-runs.ts';
import { migrateLedger } from '../../src/postgres/migrate.ts';
import { TenantPresence } from '../../src/postgres/tenant-presence.ts';
import { createDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';

let place: Awaited<ReturnType<typeof createDatabase>>;
let database: Database;
let application: Client;
beforeEach(async () => {
  place = await createDatabase({ name: 'orphan_runs' });
  database = await openDatabase({ url: place.url, connectionsMax: 4, applicationName: 'test' });
  application = new Client({ connectionString: place.url });
  await application.connect();
});
afterEach(async () => {
  await application.end();
  await database.close();
  await place.drop();
});

const tenants = (key: string) => ({
  table: asTableName('public.tenants'),
  key,
  keyType: '',
  label: null,
  testColumn: null,
});

describe('A tenant that may not be there', () => {
  it('is looked for by the index of its key, in each of the types', async () => {
    for (const [type, ids, absent] of [
      ['uuid', ['11111111-0000-4000-8000-000000000001'], '11111111-0000-4000-8000-000000000002'],
      ['integer', ['7', '-1'], '9223372036854775807'],
      ['bigint', ['9223372036854775807'], '8'],
      ['varchar(10)', ['acme', 'ünï'], 'Other'],
      ['char(6)', ['acme'], 'other'],
    ] as const) {
      await application.query(
        `drop table if exists tenants; create table tenants ("I d" ${type} primary key)`,
      );
      for (const id of ids) await application.query('insert into tenants values ($1)', [id]);
      const presence = await TenantPresence.open(database.pool, tenants('I d'));
      const { present, spelledOtherwise } = await presence.look([...ids, absent]);
      expect([...present].sort(), type).toEqual([...ids].sort());
      expect([...spelledOtherwise]).toEqual([]);
    }
  });

  it('is doubted where the column takes another spelling for the same', async () => {
    await application.query(`
      create collation blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
      create table tenants (id text collate blind primary key);
      insert into tenants values ('Ácme')`);
    const presence = await TenantPresence.open(database.pool, tenants('id'));
    const { present, spelledOtherwise } = await presence.look(['acme', 'ÁCME', 'Ácme', 'acne']);
    expect([...present]).toEqual(['Ácme']);
    expect([...spelledOtherwise].sort()).toEqual(['acme', 'ÁCME'].sort());
  });

  it('may be in a transaction that is still open: it is waited for, partitions too, and named in the end', async () => {
    await application.query(`create table tenants (id int primary key) partition by range (id);
      create table tenants_1 partition of tenants for values from (0) to (10)`);
    const presence = await TenantPresence.open(database.pool, tenants('id'));
    await presence.settleWriters(0);

    await application.query('begin');
    await application.query('insert into tenants_1 values (1)');
    await expect(presence.settleWriters(200)).rejects.toMatchObject({
      code: 'TIMED_OUT',
      message: expect.stringMatching(/^A transaction \(process \d+\)/),
    });
    const waiting = presence.settleWriters(20_000);
    await application.query('commit');
    await waiting;
    expect([...(await presence.look(['1'])).present]).toEqual(['1']);

    // Who only reads, or locks rows, creates nobody.
    await application.query('begin');
    await application.query('select * from tenants for update');
    await presence.settleWriters(0);
    await application.query('rollback');
  });
});

describe('A run over the orphans', () => {
  const REQUEST = {
    holder: 'a:1',
    operator: 'test',
    tenantTable: 'public.tenants',
    databaseIdentity: 'd',
    redisIdentity: 'r',
    redisEndpoint: 'here:6379/0',
    templates: ['t:{tenantId}'],
    place: { id: '11111111-0000-4000-8000-000000000001', location: 'here:/archive' },
    leaseMs: 60_000,
  };

  it('has one holder at a time, which loses it by silence or by letting go', async () => {
    await migrateLedger(database);
    const runs = new OrphanRunStore(database);
    const claims = await Promise.all(
      ['a:1', 'b:2'].map((holder) => runs.claim({ ...REQUEST, holder })),
    );
    expect(claims.map(({ kind }) => kind).sort()).toEqual(['begun', 'held']);
    const first = claims.find(({ kind }) => kind === 'begun')?.run;
    if (first === undefined) throw new Error('nobody began');
    expect(await runs.claim({ ...REQUEST, redisIdentity: 'other' })).toMatchObject({
      kind: 'begun',
    });
    expect(await runs.close(first.id, 60_000)).toBe(false);

    const step = { serverRunId: 's', cursor: '17', scanned: 5, deleted: 3, putBack: 1 };
    expect(await runs.progress(first, step)).toBe(true);
    await runs.release(first);
    const elsewhere = { id: '22222222-0000-4000-8000-000000000002', location: 'there' };
    expect(await runs.claim({ ...REQUEST, place: elsewhere })).toMatchObject({ kind: 'elsewhere' });
    const second = await runs.claim({ ...REQUEST, holder: 'c:3', databaseIdentity: 'moved' });
    expect(second).toMatchObject({
      kind: 'resumed',
      run: {
        id: first.id,
        epoch: 2,
        holder: 'c:3',
        databaseIdentity: 'moved',
        cursor: '17',
        serverRunId: 's',
        keysDeleted: 3,
      },
    });

    expect(await runs.find(first.id)).toMatchObject({ databaseIdentity: 'moved' });

    // The first one, thawed.
    const chunk = {
      segment: 'x',
      offset: 0,
      length: 1,
      rawBytes: 1,
      keys: 1,
      sha256: '',
      chain: '',
    };
    expect(await runs.addChunk(first, chunk)).toBe(false);
    expect(await runs.progress(first, step)).toBe(false);
    expect(await runs.finish(first, 'test')).toBe(false);
    expect(await runs.enterPipeline(first)).toEqual({ kind: 'lost' });
    await runs.release(first);
    expect(await runs.claim(REQUEST)).toMatchObject({ kind: 'held' });
    expect(await runs.chunks(first.id)).toEqual([]);

    expect(await runs.finish(second.run, 'test')).toBe(true);
    const third = await runs.claim(REQUEST);
    expect(third.kind).toBe('begun');
    expect(third.run.id).not.toBe(first.id);
  });

  it('holds a stop of the fleet up only while a pipeline is open', async () => {
    await migrateLedger(database);
    const runs = new OrphanRunStore(database);
    const { run } = await runs.claim(REQUEST);
    const pipeline = await runs.enterPipeline(run);
    if (pipeline.kind !== 'open') throw new Error(pipeline.kind);
    const tryLock = 'select pg_try_advisory_xact_lock(1953525097, 0) as got';
    expect((await application.query(tryLock)).rows[0].got).toBe(false);
    await pipeline.leave();
    await pipeline.leave();
    expect((await application.query(tryLock)).rows[0].got).toBe(true);
    await application.query('update tenant_purge.control set stopped = true');
    expect(await runs.enterPipeline(run)).toEqual({ kind: 'stopped' });
  });

  it('is not closed for a restore while a pipeline of it is open, and loses its hold then', async () => {
    await migrateLedger(database);
    const runs = new OrphanRunStore(database);
    const { run } = await runs.claim(REQUEST);
    const pipeline = await runs.enterPipeline(run);
    if (pipeline.kind !== 'open') throw new Error(pipeline.kind);
    expect(await pipeline.isHeld()).toBe(true);
    // Frozen for longer than its lease.
    await runs.release(run);
    let isClosed = false;
    const closing = runs.close(run.id, 60_000).then((closed) => {
      isClosed = true;
      return closed;
    });
    await until('the close waits for the pipeline', 10_000, async () => {
      const { rows } = await application.query(
        "select from pg_locks where locktype = 'advisory' and classid = 1953525097::oid and not granted",
      );
      return rows.length > 0 ? true : null;
    });
    expect(isClosed).toBe(false);
    await pipeline.leave();
    expect(await closing).toBe(true);
    expect(await runs.enterPipeline(run)).toEqual({ kind: 'lost' });
  });

  it('keeps its archive until it has ended and nobody restores from it; then nobody does any more', async () => {
    await migrateLedger(database);
    const runs = new OrphanRunStore(database);
    const archives = new OrphanArchives(database);
    const { run } = await runs.claim(REQUEST);
    const expire = (): Promise<boolean> =>
      archives.expire(run.id, { operator: 'test', silenceMs: 60_000 });
    await runs.release(run);
    expect(await expire()).toBe(false);
    expect(await runs.close(run.id, 60_000)).toBe(true);
    expect(await expire()).toBe(false);
    await runs.beat(run.id);
    expect(await expire()).toBe(false);
    await runs.endRestore(run.id);
    // Of a restore and an expiry at once, one sees the other.
    const [isExpired, isClosed] = await Promise.all([expire(), runs.close(run.id, 60_000)]);
    expect(isExpired).not.toBe(isClosed);
    await runs.endRestore(run.id);
    expect(await expire()).toBe(!isExpired);
    expect(await runs.close(run.id, 60_000)).toBe(false);
    expect(await archives.all()).toMatchObject([{ id: run.id, expiredBy: 'test', keys: 0 }]);
    expect(await runs.find(run.id)).toMatchObject({ expiredAt: expect.any(Date) });
  });
});
