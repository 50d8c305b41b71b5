import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { CommandStore } from '../../../src/postgres/ledger/commands.ts';
import { RestoreStore } from '../../../src/postgres/restore/restore-store.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { runForJson } from '../../support/cli.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt } from '../../support/purge-world.ts';
import { createRestoreWorld, type RestoreWorld } from '../../support/restore-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, doomed: 20 }));
});
afterAll(() => template.drop());

const BATCHES = { batch: { smallPurgeRows: 0, maxRows: 10, connections: 1 }, redis: { keys: [] } };

const open = (): Promise<RestoreWorld> =>
  createRestoreWorld({ template: template.name, config: BATCHES });

/** Resolves when somebody opens it. */
function makeGate(): { readonly opened: Promise<void>; open(): void } {
  const opener = new EventTarget();
  const opened = new Promise<void>((resolve) => {
    opener.addEventListener('open', () => resolve(), { once: true });
  });
  return { opened, open: () => void opener.dispatchEvent(new Event('open')) };
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (thrown: unknown) => (thrown instanceof PurgeError ? thrown.code : String(thrown)),
  );

describe('A half-done purge', () => {
  test('is undone by a restore once it is cancelled', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await world.enqueueOne('doomed', { archive: true });
    const commands = new CommandStore(world.actor.database);
    const worker = world.startWorker(
      actAt('batch-committed', 20, async () => {
        await commands.apply(
          'cancel',
          { kind: 'purge', id: purge.id },
          { operator: 'test', fleet: false },
        );
      }),
    );
    const cancelled = await world.untilStatus(purge.id, 'cancelled');
    await worker.stop();
    expect(cancelled.rowsDeleted).toBeGreaterThan(0);
    expect(await catalogueChecksum(world.pool, { except: [] })).not.toEqual(before);
    const report = await restoring.restore(cancelled);
    expect(report.rowsRestored).toBe(cancelled.rowsDeleted);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    expect(await world.find(purge.id)).toMatchObject({ status: 'restored' });
  });
});

describe('A restore', () => {
  test('that is interrupted stops after the batch in hand, and goes on when called again', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await restoring.purge('doomed');
    const interrupt = new AbortController();
    const code = await codeOf(
      restoring.restore(purge, {
        signal: interrupt.signal,
        failpoint: actAt('restore-committed', 3, () => interrupt.abort()),
      }),
    );
    expect(code).toBe('STOP_ASKED');
    const half = await new RestoreStore(world.actor.database).find(purge.id);
    expect(half).toMatchObject({ held: false, endedAt: null });
    expect(half?.rowsRestored).toBeGreaterThan(0);
    expect(await world.find(purge.id)).toMatchObject({ status: 'restoring' });
    const report = await restoring.restore(await world.find(purge.id));
    expect(report.rowsRestored).toBe(purge.rowsDeleted);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  test('is stopped by a pause of its purge and by the kill switch', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const store = new RestoreStore(world.actor.database);
    const asked = await codeOf(
      restoring.restore(purge, {
        failpoint: actAt('restore-committed', 2, async () => {
          await store.askStop(purge.id, 'somebody');
        }),
      }),
    );
    expect(asked).toBe('STOP_ASKED');
    await world.pool.query('update tenant_purge.control set stopped = true');
    expect(await codeOf(restoring.restore(await world.find(purge.id)))).toBe('STOP_ASKED');
    await world.pool.query('update tenant_purge.control set stopped = false');
    expect(await restoring.restore(await world.find(purge.id))).toMatchObject({
      outcome: 'restored',
    });
  });

  test('is refused while another process restores the same purge, and taken over once that is silent', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await restoring.purge('doomed');
    const frozen = makeGate();
    const atBatch = makeGate();
    const first = codeOf(
      restoring.restore(purge, {
        holder: 'frozen:1',
        failpoint: actAt('restore-committed', 2, async () => {
          atBatch.open();
          await frozen.opened;
        }),
      }),
    );
    await atBatch.opened;
    const second = restoring.restore(await world.find(purge.id));
    await expect(second).rejects.toMatchObject({
      code: 'RESTORE_HELD',
      message: expect.stringContaining('frozen:1'),
    });
    // Its timer would go on beating in this process: what a frozen one leaves is an old heartbeat.
    await world.pool.query(`create function public.old() returns trigger language plpgsql as $$
        begin new.heartbeat_at := now() - interval '1 hour'; return new; end $$;
      create trigger old before update on tenant_purge.restore for each row
        when (new.holder = 'frozen:1') execute function public.old();
      update tenant_purge.restore set heartbeat_at = now()`);
    const report = await restoring.restore(await world.find(purge.id));
    expect(report).toMatchObject({ outcome: 'restored', rowsRestored: purge.rowsDeleted });
    frozen.open();
    expect(await first).toBe('STALE_FENCE');
    await world.pool.query('drop function public.old() cascade');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  test('that finds other values than were archived fails and names the table', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const restore = restoring.restore(purge, {
      failpoint: actAt('restore-linked', 1, async () => {
        await world.pool.query(`update public.agents set pad = 'y' where tenant_id = 'doomed' and id =
          (select min(id) from public.agents where tenant_id = 'doomed')`);
      }),
    });
    await expect(restore).rejects.toMatchObject({
      code: 'RESTORE_MISMATCH',
      message: expect.stringContaining(
        'public.agents (20 rows archived, 20 found with other values)',
      ),
    });
    expect(await world.find(purge.id)).toMatchObject({
      status: 'failed',
      error: { code: 'RESTORE_MISMATCH' },
    });
    await world.pool.query(`update public.agents set pad = repeat('x', 1900) where pad = 'y'`);
    expect(await restoring.restore(await world.find(purge.id))).toMatchObject({
      outcome: 'restored',
    });
  });

  test('waits for nobody who locks a row for long, and goes on once the lock is gone', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const client = await world.pool.connect();
    try {
      await client.query('begin; lock table public.agents in exclusive mode');
      const restore = restoring.restore(purge);
      await until('the restore waits for the lock', 20_000, async () => {
        const { rows } = await world.pool.query(
          `select 1 from pg_locks where not granted and relation = 'public.agents'::regclass`,
        );
        return rows.length > 0 ? true : null;
      });
      await client.query('commit');
      expect(await restore).toMatchObject({ outcome: 'restored' });
    } finally {
      client.release();
    }
  });
});

describe('A large circle', () => {
  test('comes back chunk by chunk, its references last', async () => {
    await using restoring = await createRestoreWorld({
      template: template.name,
      config: { batch: { smallPurgeRows: 100_000 }, redis: { keys: [] } },
    });
    const { world } = restoring;
    await world.pool.query(`
      create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
        up int references public.nodes, twin int);
      create table public.twins (id int primary key, tenant_id text not null references public.tenants,
        node int not null references public.nodes);
      alter table public.nodes add foreign key (twin) references public.twins;
      insert into public.tenants values ('forest', 'F');
      insert into public.nodes select n, 'forest', nullif(n * 7 % 25000, 0), null from generate_series(1, 24999) n;
      insert into public.twins select n, 'forest', 25000 - n from generate_series(1, 24999) n;
      update public.nodes set twin = id; create index on public.nodes (up); create index on public.nodes (twin);
      create index on public.twins (node); create index on public.nodes (tenant_id); create index on public.twins (tenant_id)`);
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await restoring.purge('forest');
    const report = await restoring.restore(purge);
    expect(report.rowsRestored).toBe(49_999);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });
});

describe('The command', () => {
  test('says what stands in the way with --dry-run, restores, and says so when asked twice', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await restoring.purge('doomed');
    const env = world.environment;
    const config = await restoring.configFile();
    const look = await runForJson(['restore', purge.id, '--dry-run', '--config', config], { env });
    expect(look).toMatchObject({ exitCode: 0, document: { outcome: 'checked', conflicts: [] } });
    const done = await runForJson(['restore', purge.id, '--config', config], { env });
    expect(done).toMatchObject({ exitCode: 0, document: { outcome: 'restored' } });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    const again = await runForJson(['restore', purge.id, '--config', config], { env });
    expect(again).toMatchObject({ exitCode: 0, document: { outcome: 'already' } });
  });

  test('cancel --restore undoes a purge that has begun', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await world.enqueueOne('doomed', { archive: true });
    const half = makeGate();
    let left = 5;
    const worker = world.startWorker(async (name) => {
      if (name !== 'batch-committed') return;
      left -= 1;
      if (left === 0) half.open();
      if (left <= 0) await new Promise((resolve) => setTimeout(resolve, 200));
    });
    await half.opened;
    const env = world.environment;
    const config = await restoring.configFile();
    const done = await runForJson(['cancel', purge.id, '--restore', '--config', config], { env });
    expect(done).toMatchObject({ exitCode: 0, document: { restore: { outcome: 'restored' } } });
    await worker.stop();
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    expect(await world.find(purge.id)).toMatchObject({ status: 'restored' });
  });
});
