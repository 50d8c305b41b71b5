import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noFailpoint } from '../../src/engine/failpoints.ts';
import { IDENTITY_KEY } from '../../src/redis/identity.ts';
import { at, keysOf, type OrphanWorld, openOrphanWorld } from '../support/orphan-world.ts';
import { until } from '../support/until.ts';

const HERE = '11111111-0000-4000-8000-000000000001';
const GONE = '22222222-0000-4000-8000-000000000002';
const LOST = '33333333-0000-4000-8000-000000000003';

let world: OrphanWorld;
beforeEach(async () => {
  world = await openOrphanWorld([HERE]);
  await world.write([`rate:${HERE}`]);
});
afterEach(() => world?.close());

const runs = async (): Promise<Record<string, unknown>[]> =>
  (
    await world.pool.query(
      `select *, keys_deleted::int as deleted, keys_put_back::int as put_back
       from tenant_purge.orphan_run order by started_at`,
    )
  ).rows;
const events = async (): Promise<Record<string, unknown>[]> =>
  (
    await world.pool.query(
      "select kind, details from tenant_purge.event where kind like 'orphans%' order by id",
    )
  ).rows;
const countOf = async (id: string): Promise<number> =>
  (await world.keys()).filter((key) => key.includes(id)).length;

describe('A run of redis orphans --delete', () => {
  it('takes, resumed, also keys before its cursor of tenants that are gone only since', async () => {
    await world.addTenant(LOST);
    await world.write([...keysOf(LOST, 300), ...keysOf(GONE, 8_000)]);
    const stop = new AbortController();
    let pipelines = 0;
    await world.deleteWith(async (name) => {
      if (name === 'before-unlink' && ++pipelines === 8) stop.abort();
    }, stop.signal);
    const [open] = await runs();
    expect(open?.['cursor']).not.toBe('0');
    await world.pool.query('delete from public.tenants where id = $1', [LOST]);
    expect((await world.deleteAll()).document).toMatchObject({ isResumed: true, isDone: true });
    expect(await world.keys()).toEqual([`rate:${HERE}`]);
  });

  it('books what went when it is stopped in the middle of a page', async () => {
    await world.write(keysOf(GONE, 1_500));
    const stop = new AbortController();
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => stop.abort()),
      stop.signal,
    );
    expect(deletion).toMatchObject({ isDone: false });
    expect(deletion.deleted).toBe(1_500 - (await countOf(GONE)));
    expect(await runs()).toMatchObject([{ deleted: deletion.deleted, ended_at: null }]);
    const rest = await world.deleteAll();
    expect(rest.document).toMatchObject({ isResumed: true, isDone: true });
    expect(await runs()).toMatchObject([{ deleted: 1_500 }]);
    expect((await events()).map(({ kind }) => kind)).toEqual([
      'orphans begun',
      'orphans interrupted',
      'orphans resumed',
      'orphans deleted',
    ]);
  });

  it('deletes nothing where the archive cannot be written, says so in the ledger, and goes on then', async () => {
    await world.write(keysOf(GONE, 200));
    const obstacle = join(world.folder, 'archive', 'orphans');
    mkdirSync(join(world.folder, 'archive'));
    writeFileSync(obstacle, 'no folder');
    expect(await world.deleteAll()).toMatchObject({
      exitCode: 1,
      document: { error: { code: 'ARCHIVE_FAILED' } },
    });
    expect(await countOf(GONE)).toBe(200);
    expect(await events()).toMatchObject([
      { kind: 'orphans begun' },
      { kind: 'orphans interrupted', details: { keys: 0, error: 'ARCHIVE_FAILED' } },
    ]);
    rmSync(obstacle);
    expect(await world.deleteAll()).toMatchObject({
      exitCode: 0,
      document: { isResumed: true, deleted: 200 },
    });
  });

  it('ends when nothing is left for it to delete, and needs no phrase for that', async () => {
    await world.write(keysOf(GONE, 500));
    const stop = new AbortController();
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => stop.abort()),
      stop.signal,
    );
    await world.redis.del(...keysOf(GONE, 500));
    const dry = await world.json('redis', 'orphans');
    expect(dry.document).toMatchObject({ unfinishedRun: deletion.runId, phrase: null });
    expect((await world.run('redis', 'orphans')).stdout).toContain('goes on with it');
    expect(await world.json('redis', 'orphans', '--delete')).toMatchObject({
      exitCode: 0,
      document: { runId: deletion.runId, isResumed: true, isDone: true, deleted: 0 },
    });
    expect(await runs()).toMatchObject([{ ended_at: expect.any(Date) }]);
    expect(await world.json('redis', 'orphans', '--delete')).toMatchObject({
      exitCode: 0,
      document: { runId: null },
    });
  });

  it('does not go on over a damaged archive, and says how it is ended', async () => {
    await world.write(keysOf(GONE, 500));
    const stop = new AbortController();
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => stop.abort()),
      stop.signal,
    );
    const left = await countOf(GONE);
    rmSync(join(world.folder, 'archive', 'orphans', deletion.runId), { recursive: true });
    expect(await world.deleteAll()).toMatchObject({
      exitCode: 1,
      document: {
        error: {
          code: 'ARCHIVE_DAMAGED',
          remedy: expect.stringContaining(`--restore ${deletion.runId}`),
        },
      },
    });
    expect(await countOf(GONE)).toBe(left);
    expect(await world.json('redis', 'orphans', '--restore', deletion.runId)).toMatchObject({
      document: { error: { code: 'ARCHIVE_DAMAGED' } },
    });
    expect((await world.deleteAll()).document).toMatchObject({ isResumed: false, deleted: left });
  });

  it('stops at Ctrl-C also while it waits for a transaction of the application', async () => {
    await world.write(keysOf(GONE, 5));
    const signup = await world.pool.connect();
    await signup.query('begin');
    await signup.query('insert into public.tenants (id) values ($1)', [LOST]);
    const stop = new AbortController();
    const deleting = world.deleteWith(noFailpoint, stop.signal);
    try {
      await until('the run has begun', 10_000, async () => {
        const { rows } = await world.pool.query(
          "select to_regclass('tenant_purge.orphan_run') as t",
        );
        return rows[0].t === null || (await runs()).length === 0 ? null : true;
      });
      stop.abort();
      expect((await deleting).deletion).toMatchObject({ isDone: false, deleted: 0 });
    } finally {
      await signup.query('rollback');
      signup.release();
    }
    expect(await countOf(GONE)).toBe(5);
  });

  it('unlinks nothing of a pipeline whose session is gone: a stop has not waited for it', async () => {
    await world.write(keysOf(GONE, 50));
    const deleting = world.deleteWith(
      at('keys-archived', () =>
        world.pool.query(`select pg_terminate_backend(pid) from pg_locks
          where locktype = 'advisory' and classid = 1953525097::oid and mode = 'ShareLock'
            and database = (select oid from pg_database where datname = current_database())`),
      ),
    );
    await expect(deleting).rejects.toMatchObject({ code: 'TIMED_OUT' });
    expect(await countOf(GONE)).toBe(50);
    expect((await world.deleteAll()).document).toMatchObject({ isResumed: true, deleted: 50 });
  });

  it('archives a key anew that becomes another type between DUMP and UNLINK', async () => {
    const [key = ''] = keysOf(GONE, 1);
    await world.write([key]);
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => {
        await world.redis.del(key);
        await world.redis.hset(key, { field: 'value' });
      }),
    );
    expect(deletion).toMatchObject({ deleted: 1, isDone: true });
    expect(await world.redis.exists(key)).toBe(0);
    const back = await world.json('redis', 'orphans', '--restore', deletion.runId);
    expect(back.document).toMatchObject({ restored: 1 });
    expect(await world.redis.hgetall(key)).toEqual({ field: 'value' });
  });

  it('archives the life that the application gives a key between DUMP and UNLINK', async () => {
    const [longer = '', forever = '', mortal = '', rest = ''] = keysOf(GONE, 4);
    await world.write([mortal]);
    for (const key of [longer, forever, rest]) await world.redis.set(key, 'x', 'EX', 600);
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => {
        await world.redis.expire(longer, 7_200);
        await world.redis.persist(forever);
        await world.redis.expire(mortal, 7_200);
      }),
    );
    expect(deletion).toMatchObject({ deleted: 4, left: 0, isDone: true });
    await world.json('redis', 'orphans', '--restore', deletion.runId);
    expect(await world.redis.ttl(longer)).toBeGreaterThan(7_000);
    expect(await world.redis.ttl(forever)).toBe(-1);
    expect(await world.redis.ttl(mortal)).toBeGreaterThan(7_000);
    expect(await world.redis.ttl(rest)).toBeLessThanOrEqual(600);
  });

  it('takes a key whose life every request prolongs', async () => {
    const [session = ''] = keysOf(GONE, 1);
    await world.redis.set(session, 'x', 'EX', 600);
    const { deletion } = await world.deleteWith(async (name) => {
      if (name === 'before-unlink') await world.redis.expire(session, 600);
    });
    expect(deletion).toMatchObject({ deleted: 1, left: 0 });
    const { rows } = await world.pool.query('select from tenant_purge.orphan_chunk');
    expect(rows).toHaveLength(1);
  });

  it('leaves a key that never rests, and counts it', async () => {
    const [restless = ''] = keysOf(GONE, 1);
    await world.write(keysOf(GONE, 10));
    const { deletion } = await world.deleteWith(async (name) => {
      if (name === 'before-unlink') await world.redis.append(restless, 'x');
    });
    expect(deletion).toMatchObject({ deleted: 9, left: 1, isDone: true });
    expect(await countOf(GONE)).toBe(1);
    expect((await events()).at(-1)).toMatchObject({ details: { keys: 9, left: 1 } });
  });

  it('outlives a connection to Redis that is lost between archive and unlink', async () => {
    await world.write(keysOf(GONE, 50));
    const database = new URL(world.redisUrl).pathname.slice(1) || '0';
    const own = await world.redis.client('ID');
    const { deletion } = await world.deleteWith(
      at('before-unlink', async () => {
        const list = String(await world.redis.client('LIST'));
        const ids = list
          .split('\n')
          .filter((line) => line.includes(` db=${database} `))
          .flatMap((line) => /^id=(\d+)/.exec(line)?.[1] ?? [])
          .filter((id) => id !== String(own));
        expect(ids).not.toEqual([]);
        for (const id of ids) await world.redis.client('KILL', 'ID', id);
      }),
    );
    expect(deletion).toMatchObject({ deleted: 50, isDone: true });
    expect(await world.keys()).toEqual([`rate:${HERE}`]);
  });

  it('archives large values a few at a time', async () => {
    await world.write(keysOf(GONE, 300), 'x'.repeat(400_000));
    expect((await world.deleteAll()).document).toMatchObject({ deleted: 300 });
    const { rows } = await world.pool.query(
      'select keys::int as keys from tenant_purge.orphan_chunk order by seq',
    );
    const sizes: number[] = rows.map(({ keys }) => keys);
    expect(sizes.reduce((sum, keys) => sum + keys, 0)).toBe(300);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(200);
  });
});

describe('Keys of a tenant that came back into being', () => {
  it('are in no archive where nothing of them was unlinked: a restore does not bring them back', async () => {
    await world.write([...keysOf(GONE, 5), ...keysOf(LOST, 5)]);
    const { deletion } = await world.deleteWith(at('archive-written', () => world.addTenant(LOST)));
    expect(deletion).toMatchObject({ deleted: 5, putBack: 0 });
    // Later its application removes them, as it may.
    await world.redis.del(...keysOf(LOST, 5));
    const back = await world.json('redis', 'orphans', '--restore', deletion.runId);
    expect(back.document).toMatchObject({ restored: 5, same: 0, taken: 0 });
    expect(await world.keys()).toEqual([`rate:${HERE}`, ...keysOf(GONE, 5)].sort());
  });

  it('come back with the next process where the first died before its last look', async () => {
    await world.write(keysOf(LOST, 5));
    const died = world.deleteWith(
      at('before-unlink', async () => {
        await world.addTenant(LOST);
        // What dies here is the look behind the unlink.
        await world.pool.query('alter table public.tenants rename to hidden');
      }),
    );
    await expect(died).rejects.toThrow();
    await world.pool.query('alter table public.hidden rename to tenants');
    expect(await countOf(LOST)).toBe(0);
    expect(await world.json('redis', 'orphans', '--delete')).toMatchObject({
      exitCode: 0,
      document: { isResumed: true, isDone: true, putBack: 5 },
    });
    expect(await countOf(LOST)).toBe(5);
  });
});

describe('A Redis that may be another environment’s', () => {
  it('keeps its keys where its mark is none that this ledger knows, although tenants have keys there', async () => {
    await world.write(keysOf(GONE, 5));
    await world.redis.set(IDENTITY_KEY, 'planted by production');
    expect(await world.deleteAll()).toMatchObject({
      exitCode: 3,
      document: {
        error: { code: 'IDENTITY_MISMATCH', remedy: expect.stringContaining('--allow') },
      },
    });
    expect(await countOf(GONE)).toBe(5);
    expect(await world.deleteAll('--allow-unrelated')).toMatchObject({ exitCode: 0 });
    // From then on the ledger knows it.
    await world.write(keysOf(GONE, 5));
    expect(await world.deleteAll()).toMatchObject({ exitCode: 0, document: { deleted: 5 } });
  });
});

describe('A ledger that came with a copy of another database', () => {
  it('is told by its runs where it has nothing else', async () => {
    await world.write(keysOf(GONE, 5));
    expect(await world.deleteAll()).toMatchObject({ exitCode: 0, document: { left: 0 } });
    await world.pool.query("update tenant_purge.orphan_run set database_identity = 'original'");
    await world.write(keysOf(GONE, 5));
    expect(await world.deleteAll()).toMatchObject({
      exitCode: 3,
      document: {
        error: { code: 'IDENTITY_MISMATCH', message: expect.stringContaining('came with a copy') },
      },
    });
    expect(await countOf(GONE)).toBe(5);
    expect(await world.deleteAll('--allow-unrelated')).toMatchObject({ exitCode: 0 });
    await world.write(keysOf(GONE, 5));
    expect(await world.deleteAll()).toMatchObject({ exitCode: 0, document: { deleted: 5 } });
  });
});

describe('The dry run', () => {
  it('gives every id to programs', async () => {
    await world.write([...keysOf(GONE, 1), ...keysOf(LOST, 1)]);
    const { document } = await world.json('redis', 'orphans');
    expect((document['tenantIds'] as string[]).toSorted()).toEqual([GONE, LOST]);
  });
});
