import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEMO, listTestTenantIds, seedApplication, seedRedis } from '../../../ops/demo/app/seed.ts';
import { asTenantId } from '../../../src/domain/ids.ts';
import { prepareCampaign, rowsPerTable } from '../../../src/engine/campaign/prepare.ts';
import { verifyTenant } from '../../../src/engine/campaign/verify-tenant.ts';
import { catalogueChecksum, redisChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

const SCALE = 0.01;
const demoConfig = JSON.parse(readFileSync('ops/demo/purge.config.json', 'utf8'));

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await seedApplication(url, { scale: SCALE });
  });
});
afterAll(() => template.drop());

// Small tenants go in one transaction, or by levels and batches; what is left must be the same.
test.each([
  ['in one transaction each', { smallPurgeRows: 5_000 }],
  ['by levels and batches', { smallPurgeRows: 0, maxRows: 100 }],
])(
  '2. purging every test tenant %s leaves the kept ones byte-identical',
  async (_, batch) => {
    const world = await createWorld({
      template: template.name,
      config: { ...demoConfig, batch, worker: { slots: 2 } },
    });
    try {
      await seedRedis(world.config.redisUrl, { scale: SCALE });
      const doomed = listTestTenantIds({ scale: SCALE });
      const rowsBefore = await catalogueChecksum(world.pool, { except: doomed });
      const keysBefore = await redisChecksum(world.redis, { except: doomed });
      const prepared = await prepareCampaign(world.actor.prepare, { kind: 'all-except', ids: [] });
      const purges = await world.enqueueTargets({ kind: 'all-except', ids: [] });
      expect(purges).toHaveLength(doomed.length);

      world.startWorker();
      const ended = await world.untilEnded(60_000);

      expect(ended.map(({ error }) => error).filter((error) => error !== null)).toEqual([]);
      expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['completed']));
      expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rowsBefore);
      expect(await redisChecksum(world.redis, { except: [] })).toEqual(keysBefore);
      const { rows: ledger } = await world.pool.query(
        `select table_name as table, sum(rows)::int as rows from tenant_purge.batch
       where kind = 'delete' group by 1 order by 1`,
      );
      const expected = rowsPerTable(prepared).filter(({ rows }) => rows > 0);
      const keys = { table: 'redis', rows: prepared.counts.redisKeys };
      const byTable = [...expected, keys].sort((a, b) => (a.table < b.table ? -1 : 1));
      expect([...ledger].sort((a, b) => (a.table < b.table ? -1 : 1))).toEqual(byTable);
      for (const purge of ended) {
        expect(purge.rowsDeleted).toBe(purge.rowsTotal);
        expect(purge.residue).toEqual([]);
      }
      const gone = await verifyTenant(world.actor.prepare, asTenantId(doomed[0] ?? ''));
      expect(gone).toEqual({ exists: false, residue: [] });
      expect(await world.value('select count(*)::int from public.tenants')).toBe(DEMO.kept.length);
    } finally {
      await world.close();
    }
  },
  120_000,
);
