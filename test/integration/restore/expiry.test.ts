import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { ArchiveStore } from '../../../src/postgres/ledger/archives.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { actAt } from '../../support/purge-world.ts';
import { createRestoreWorld, type RestoreWorld } from '../../support/restore-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, doomed: 6 }));
});
afterAll(() => template.drop());

const open = (): Promise<RestoreWorld> =>
  createRestoreWorld({
    template: template.name,
    config: { batch: { smallPurgeRows: 0, maxRows: 10, connections: 1 }, redis: { keys: [] } },
  });

const thrownBy = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (thrown: unknown) => (thrown instanceof PurgeError ? thrown.code : String(thrown)),
  );

describe('An archive that expires beside the start of its restore', () => {
  test('refuses the restore where it expired after the look: nothing is changed', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const rows = await catalogueChecksum(world.pool, { except: [] });
    const archives = new ArchiveStore(world.actor.database);
    const code = await thrownBy(
      restoring.restore(purge, {
        // Asked behind the look, before the claim.
        confirm: async () => {
          expect(await archives.expire(purge.id, 'somebody')).toBe(true);
        },
      }),
    );
    expect(code).toBe('ARCHIVE_EXPIRED');
    expect(await world.find(purge.id)).toMatchObject({ status: 'completed' });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
    const left = await world.pool.query('select 1 from tenant_purge.restore');
    expect(left.rows).toEqual([]);
  });

  test('refuses a claim that had waited for the expiry to commit', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const expiring = await world.pool.connect();
    try {
      // As ArchiveStore.expire does, stopped before its commit.
      await expiring.query('begin');
      await expiring.query(`select 1 from tenant_purge.purge where id = $1 for update`, [purge.id]);
      await expiring.query(
        `update tenant_purge.archive set expired_at = now(), expired_by = 'x' where purge_id = $1`,
        [purge.id],
      );
      const restore = thrownBy(restoring.restore(purge));
      await until('the claim waits for the row', 20_000, async () => {
        const { rows } = await world.pool.query(
          `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%for update%'
             and datname = current_database()`,
        );
        return rows.length > 0 ? true : null;
      });
      await expiring.query('commit');
      expect(await restore).toBe('ARCHIVE_EXPIRED');
    } finally {
      expiring.release();
    }
    expect(await world.find(purge.id)).toMatchObject({ status: 'completed' });
  });

  test('does not expire once the restore has begun, nor while it is half done', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const archives = new ArchiveStore(world.actor.database);
    const stop = new AbortController();
    const answers: boolean[] = [];
    const code = await thrownBy(
      restoring.restore(purge, {
        signal: stop.signal,
        failpoint: actAt('restore-committed', 2, async () => {
          answers.push(await archives.expire(purge.id, 'somebody'));
          stop.abort();
        }),
      }),
    );
    answers.push(await archives.expire(purge.id, 'somebody'));
    expect({ code, answers }).toEqual({ code: 'STOP_ASKED', answers: [false, false] });
    expect(await restoring.restore(await world.find(purge.id))).toMatchObject({
      outcome: 'restored',
    });
    expect(await archives.expire(purge.id, 'somebody')).toBe(true);
  });

  test('is not undone from an archive that the ledger says was never written', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const code = await thrownBy(
      restoring.restore(purge, {
        confirm: async () => {
          await world.pool.query('update tenant_purge.campaign set archive = false');
        },
      }),
    );
    expect(code).toBe('NOT_RESTORABLE');
  });
});

describe('A restore into another database', () => {
  const holders = `select l.pid from pg_locks l
    where l.locktype = 'advisory' and l.classid = 1953525099::oid and l.granted
      and l.database = (select oid from pg_database where datname = current_database())`;

  test('keeps the archive from expiring until it has ended, also where its session is lost', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const archives = new ArchiveStore(world.actor.database);
    const other = await createDatabase({ name: 'into', template: template.name });
    try {
      const client = new Client({ connectionString: other.url });
      await client.connect();
      await client.query('truncate public.tenants cascade');
      await client.end();
      const answers: boolean[] = [];
      const report = await restoring.restore(purge, {
        into: other.url,
        failpoint: actAt('restore-claimed', 1, async () => {
          answers.push(await archives.expire(purge.id, 'somebody'));
          const { rows } = await world.pool.query<{ pid: number }>(holders);
          const lost = rows[0]?.pid;
          await world.pool.query('select pg_terminate_backend($1)', [lost]);
          await until('the lock is held anew', 20_000, async () => {
            const now = await world.pool.query<{ pid: number }>(holders);
            return now.rows.some(({ pid }) => pid !== lost) ? true : null;
          });
          answers.push(await archives.expire(purge.id, 'somebody'));
        }),
      });
      expect(report).toMatchObject({ outcome: 'restored' });
      expect(answers).toEqual([false, false]);
      expect((await world.pool.query(holders)).rows).toEqual([]);
      expect(await archives.expire(purge.id, 'somebody')).toBe(true);
    } finally {
      await other.drop();
    }
  });

  test('does not begin from an archive that has expired meanwhile', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const archives = new ArchiveStore(world.actor.database);
    const purge = await restoring.purge('doomed');
    await archives.expire(purge.id, 'somebody');
    expect(await thrownBy(archives.hold(purge.id))).toBe('ARCHIVE_EXPIRED');
  });
});

describe('A tenant of which another purge is live', () => {
  test('is not restored, and a dry run says so too', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    await world.pool.query(`insert into public.tenants (id, name) values ('doomed', 'again')`);
    const next = await world.enqueueOne('doomed', { archive: true });
    for (const dryRun of [true, false]) {
      await expect(restoring.restore(purge, { dryRun })).rejects.toMatchObject({
        code: 'TENANT_BUSY',
        message: expect.stringContaining(next.id),
      });
    }
    expect(await world.find(purge.id)).toMatchObject({ status: 'completed' });
  });
});
