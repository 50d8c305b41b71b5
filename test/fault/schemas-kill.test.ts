/** Real applications' schemas with circles, partitions and inheritance, and workers that die on them. */
import { expect, it } from 'vitest';
import { compareSurveys } from '../support/schemas/comparison.ts';
import {
  makeSchemaTemplate,
  PurgeCase,
  rowsInLedger,
  rowsOf,
} from '../support/schemas/purge-case.ts';
import { softTenantKeys, withKeys } from '../support/schemas/purge-settings.ts';

/** Batches by which each worker after the other is killed; the smallest purge has more than all. */
const kills = ['batch-committed:4', 'before-commit:11', 'batch-committed:15'];
const tenant = 2;

it.each(['concourse', 'hatchet', 'lago'] as const)(
  'a tenant of %s goes as it should though worker after worker is killed in the middle',
  async (application) => {
    await using template = await makeSchemaTemplate(application);
    await using schema = await PurgeCase.open(template, { edges: 'strict', cross: 40 });
    const soft = withKeys(schema.bareSettings, softTenantKeys(template.graph), 'set-null');
    const world = await schema.start(await schema.settle(soft, [tenant]));
    const before = await schema.survey();
    const purge = await world.enqueueOne(schema.tenantId(tenant));
    for (const failpoint of kills) {
      const worker = await world.spawnWorker({ failpoint });
      expect(await worker.exited, failpoint).toEqual({ code: null, signal: 'SIGKILL' });
    }
    expect(Object.keys(await rowsInLedger(world, purge.id)).length).toBeGreaterThan(1);
    world.startWorker();
    await world.untilStatus(purge.id, 'completed', 60_000);
    expect(compareSurveys(before, await schema.survey(), { purged: [tenant] })).toEqual([]);
    expect(await rowsInLedger(world, purge.id)).toEqual(rowsOf(before, tenant));
  },
  180_000,
);
