import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asTenantId } from '../../../src/domain/ids.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { listTenants } from '../../../src/postgres/tenant-directory.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { catalogueChecksum, redisChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld, WorldOptions } from '../../support/purge-world.ts';
import { createForest, expectLeavesFirst, FOREST, TREE } from '../../support/tenant-forest.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;

beforeAll(async () => {
  template = await makeTemplate(createForest);
});
afterAll(() => template.drop());

async function inWorld(
  work: (world: PurgeWorld) => Promise<void>,
  config: WorldOptions['config'] = {},
): Promise<void> {
  const world = await createWorld({ template: template.name, config });
  try {
    for (const id of Object.keys(FOREST)) await world.redis.set(`tenant:${id}:cache:1`, '1');
    await work(world);
  } finally {
    await world.close();
  }
}

const enqueueTree = (world: PurgeWorld): Promise<PurgeRecord[]> =>
  world.enqueueTargets({ kind: 'tenants', ids: ['top'], withDescendants: true });

function purgeOf(purges: readonly PurgeRecord[], tenantId: string): PurgeRecord {
  const purge = purges.find((candidate) => candidate.tenantId === tenantId);
  if (purge === undefined) throw new Error(`no purge of ${tenantId}`);
  return purge;
}

async function cancel(world: PurgeWorld, purge: PurgeRecord): Promise<void> {
  await runCommand(world.actor.reconcile, 'cancel', {
    selection: { kind: 'purge', id: purge.id },
    fleet: false,
    operator: 'test',
    waitMs: 5_000,
  });
}

describe('A tree of tenants', () => {
  for (const [how, batch] of [
    ['by batches', { smallPurgeRows: 0, maxRows: 4 }],
    ['in one transaction each', { smallPurgeRows: 5_000 }],
  ] as const) {
    it(`goes with its top, leaves first, by two workers at once, ${how}`, async () => {
      await inWorld(
        async (world) => {
          const before = await catalogueChecksum(world.pool, { except: TREE });
          const keysBefore = await redisChecksum(world.redis, { except: TREE });
          const enqueued = await enqueueTree(world);
          expect(enqueued.map(({ tenantId }) => tenantId).sort()).toEqual([...TREE].sort());
          world.startWorker();
          world.startWorker();
          const ended = await world.untilEnded();
          expect(ended.map(({ status, error }) => [status, error])).toEqual(
            TREE.map(() => ['completed', null]),
          );
          expectLeavesFirst(ended);
          expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
          expect(await redisChecksum(world.redis, { except: [] })).toEqual(keysBefore);
        },
        { batch },
      );
    });
  }

  it('goes leaves first as well where each of its tenants is named', async () => {
    await inWorld(async (world) => {
      await world.enqueue(['left', 'leaf', 'left1', 'left2']);
      world.startWorker();
      const ended = await world.untilEnded();
      expect(ended.map(({ status }) => status)).toEqual(Array(4).fill('completed'));
      expectLeavesFirst(ended);
      expect(await world.value("select count(*)::int from tenants where id = 'top'")).toBe(1);
    });
  });

  it('is refused where those below its top are not to go', async () => {
    await inWorld(async (world) => {
      const request = { kind: 'tenants', ids: ['top'] } as const;
      const prepared = await prepareCampaign(world.actor.prepare, request);
      expect(prepared.hazards).toContainEqual(
        expect.objectContaining({ type: 'TENANT_HAS_DESCENDANTS', severity: 'blocks' }),
      );
    });
  });

  it('is refused as a whole where one below is kept, which is named with the one above', async () => {
    await inWorld(async (world) => {
      const other = await world.composeOther({ environment: { KEEP_TENANT_ID: 'leaf' } });
      const request = { kind: 'tenants', ids: ['left'], withDescendants: true } as const;
      const { refused } = await prepareCampaign(other.prepare, request);
      expect(refused).toEqual([
        { tenantId: 'leaf', code: 'TENANT_KEPT', message: expect.stringMatching(/leaf.*left/) },
      ]);
    });
  });

  it('waits with its top for those below, and is not looked at in a hot loop', async () => {
    await inWorld(async (world) => {
      const purges = await enqueueTree(world);
      const top = purgeOf(purges, 'top');
      const outcome = await world.run(top.id);
      expect(outcome).toMatchObject({ kind: 'not-now' });
      expect('lookAgainInMs' in outcome && outcome.lookAgainInMs).toBeGreaterThanOrEqual(500);
      expect(await world.find(top.id)).toMatchObject({ status: 'queued', rowsDeleted: 0 });
    });
  });

  it('leaves its top alone where the purge of one below was cancelled, and says which', async () => {
    await inWorld(async (world) => {
      const purges = await enqueueTree(world);
      const leaf = purgeOf(purges, 'leaf');
      await cancel(world, leaf);
      world.startWorker();
      world.startWorker();
      const ended = await world.untilEnded();
      const statuses = Object.fromEntries(ended.map(({ tenantId, status }) => [tenantId, status]));
      expect(statuses).toEqual({
        leaf: 'cancelled',
        left1: 'refused',
        left2: 'completed',
        left: 'refused',
        right1: 'completed',
        right: 'completed',
        top: 'refused',
      });
      for (const id of ['left1', 'left', 'top']) {
        const { error, rowsDeleted } = purgeOf(ended, id);
        expect([rowsDeleted, error]).toEqual([
          0,
          expect.objectContaining({
            code: 'DESCENDANT_REMAINS',
            details: expect.objectContaining({
              tenantId: 'leaf',
              purgeId: leaf.id,
              status: 'cancelled',
            }),
          }),
        ]);
      }
      const left = "select string_agg(id, ' ' order by id) from tenants where id not like 'other%'";
      expect(await world.value(left)).toBe('leaf left left1 top');
      expect(
        await world.value("select count(*)::int from workspaces where tenant_id = 'top'"),
      ).toBe(2);
      // What the error says to do next does it.
      await enqueueTree(world);
      await world.untilEnded();
      expect(await world.value(left)).toBeNull();
    });
  });

  it('waits as long as a purge below is paused, whatever the queue and the reconciler do', async () => {
    await inWorld(async (world) => {
      const purges = await world.enqueueTargets({
        kind: 'tenants',
        ids: ['right'],
        withDescendants: true,
      });
      const below = purgeOf(purges, 'right1');
      const above = purgeOf(purges, 'right');
      const command = (name: 'pause' | 'resume') =>
        runCommand(world.actor.reconcile, name, {
          selection: { kind: 'purge', id: below.id },
          fleet: false,
          operator: 'test',
          waitMs: 5_000,
        });
      await command('pause');
      world.startWorker();
      await until('the job of the one above was put back', 20_000, async () => {
        const job = await world.actor.queue.bull.getJob(`${above.id}.1`);
        return job !== undefined && job.attemptsStarted >= 3 && (await job.isDelayed())
          ? job
          : null;
      });
      expect(await world.find(above.id)).toMatchObject({
        status: 'queued',
        fence: 0,
        jobNumber: 1,
      });
      await command('resume');
      const ended = await world.untilEnded();
      expect(ended.map(({ status }) => status)).toEqual(['completed', 'completed']);
      expectLeavesFirst(ended);
    });
  });

  it('is read with its circles, and refused where it has one', async () => {
    await inWorld(async (world) => {
      await world.pool.query("update tenants set parent_id = 'leaf' where id = 'left'");
      for (const ids of [['left'], ['left', 'left1', 'left2', 'leaf']]) {
        const prepared = await prepareCampaign(world.actor.prepare, {
          kind: 'tenants',
          ids,
          withDescendants: ids.length === 1,
        });
        expect(prepared.refused).toEqual([
          { tenantId: 'left', code: 'TENANT_CYCLE', message: expect.stringContaining('leaf') },
        ]);
      }
    });
  });
});

describe('Reading tenants', () => {
  it('finds the parents by every key of the tree, also of several columns, each once', async () => {
    await inWorld(async (world) => {
      await world.pool.query(`
        create table public.units (
          "Id" int primary key, name text, region text not null, code int not null,
          up_region text, up_code int, root int references public.units, unique (region, code),
          foreign key (up_region, up_code) references public.units (region, code));
        insert into public.units values
          (1, 'top', 'eu', 1, null, null, 1), (2, null, 'eu', 2, 'eu', 1, 1),
          (3, 'leaf', 'eu', 3, 'eu', 2, 1), (4, 'half', 'eu', 4, 'eu', null, null)`);
      const { tenant } = (await prepareCampaign(world.actor.prepare, { kind: 'tenants', ids: [] }))
        .plan;
      const units = { ...tenant, table: 'public.units', key: 'Id' } as typeof tenant;
      const keys = [
        {
          foreignKey: 'up',
          columns: ['up_region', 'up_code'],
          referencedColumns: ['region', 'code'],
        },
        { foreignKey: 'root', columns: ['root'], referencedColumns: ['Id'] },
      ];
      expect(await listTenants(world.pool, units, keys)).toEqual([
        { id: '1', label: 'top', parents: [asTenantId('1')] },
        { id: '2', label: '2', parents: [asTenantId('1')] },
        { id: '3', label: 'leaf', parents: ['1', '2'].map(asTenantId) },
        { id: '4', label: 'half' },
      ]);
    });
  });
});

describe('Purges that wait', () => {
  it('are claimed by no worker before those below are completed', async () => {
    await inWorld(async (world) => {
      const purges = await enqueueTree(world);
      const waiting = purges.filter(({ tenantId }) => ['top', 'left', 'right'].includes(tenantId));
      const outcomes = await Promise.all(waiting.map(({ id }) => world.run(id)));
      expect(outcomes.map(({ kind }) => kind)).toEqual(['not-now', 'not-now', 'not-now']);
      const now = await Promise.all(waiting.map(({ id }) => world.find(id)));
      expect(now.every(({ status, fence }) => isLive(status) && fence === 0)).toBe(true);
    });
  });
});
