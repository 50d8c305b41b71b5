/** Ten real applications' schemas, purged by the program and judged by the foreign keys' values. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runForJson } from '../support/cli.ts';
import { compareSurveys } from '../support/schemas/comparison.ts';
import { type Application, applications } from '../support/schemas/facts.ts';
import {
  makeSchemaTemplate,
  PurgeCase,
  purgeAtOnce,
  purgeByBatches,
  rowsInLedger,
  rowsOf,
  type SchemaTemplate,
  transactionsOf,
} from '../support/schemas/purge-case.ts';
import {
  crossingCounts,
  namesRows,
  outsideHazards,
  outsideRows,
} from '../support/schemas/purge-outside.ts';
import {
  owningSoftKeys,
  type PurgeSettings,
  softTenantKeys,
  withKeys,
} from '../support/schemas/purge-settings.ts';

/** One goes at once, the other by batches. */
const atOnce = 1;
const byBatches = 3;
const tenants = [atOnce, byBatches];

describe.each(applications)('tenants of %s', (application) => {
  let template: SchemaTemplate;

  beforeAll(async () => {
    template = await makeSchemaTemplate(application);
  });

  afterAll(() => template?.[Symbol.asyncDispose]());

  it('go with all their rows and no other, once the hazards are answered', async () => {
    await using schema = await PurgeCase.open(template, { edges: 'strict' });
    await expectCleanPurges(schema, await schema.settle(schema.bareSettings, tenants));
  });

  it('go with what soft keys own, too, where the settings say so', async () => {
    await using schema = await PurgeCase.open(template, { edges: 'all' });
    const owning = withKeys(schema.bareSettings, owningSoftKeys(template.graph), 'own');
    await expectCleanPurges(schema, await schema.settle(owning, tenants));
  });

  it.runIf(mayCross(application))(
    'stay while rows of others refer to theirs, and go once these references are cleared',
    async () => {
      await using schema = await PurgeCase.open(template, { edges: 'strict', cross: 40 });
      const soft = withKeys(schema.bareSettings, softTenantKeys(template.graph), 'set-null');
      const settings = await schema.settle(soft, []);
      const before = await schema.survey();
      const outside = outsideRows(before, { tenants });
      const hazards = outsideHazards(template.facts, await schema.hazards(settings, tenants));
      const counts = new Map([...hazards].map(([name, { count }]) => [name, count]));

      expect(counts.size).toBeGreaterThan(0);
      expect(counts).toEqual(crossingCounts(schema.filled, { tenants }));
      expect(counts).toEqual(new Map([...outside].map(([name, rows]) => [name, rows.length])));
      for (const [name, hazard] of hazards) {
        expect(namesRows(hazard, outside.get(name) ?? []), hazard.message).toBe(true);
      }
      expect(await enqueueByCommand(schema, settings)).toEqual({
        exitCode: 3,
        code: 'HAZARD_BLOCKS',
      });
      expect((await schema.survey()).totals).toEqual(before.totals);

      await expectCleanPurges(schema, await schema.settle(settings, tenants));
    },
  );
});

/** In kratos every nullable key cascades or carries a column of the tenant's own. */
function mayCross(application: Application): boolean {
  return application !== 'kratos';
}

/** Purges the tenants, then one of them again. */
async function expectCleanPurges(schema: PurgeCase, settings: PurgeSettings): Promise<void> {
  const before = await schema.survey();
  const world = await schema.start(settings);
  const first = await purgeAtOnce(world, schema.tenantId(atOnce));
  const second = await purgeByBatches(world, schema.tenantId(byBatches));
  expect(compareSurveys(before, await schema.survey(), { purged: tenants })).toEqual([]);
  expect(await rowsInLedger(world, first)).toEqual(rowsOf(before, atOnce));
  expect(await rowsInLedger(world, second)).toEqual(rowsOf(before, byBatches));
  expect(await transactionsOf(world, first)).toBe(1);
  expect(await transactionsOf(world, second)).toBeGreaterThan(
    Object.keys(rowsOf(before, byBatches)).length,
  );

  const again = await purgeByBatches(world, schema.tenantId(byBatches));
  expect(await rowsInLedger(world, again)).toEqual({});
}

/** What `enqueue` answers with these settings. */
async function enqueueByCommand(schema: PurgeCase, settings: PurgeSettings) {
  const folder = mkdtempSync(join(tmpdir(), 'schemas-'));
  try {
    writeFileSync(join(folder, 'purge.config.json'), JSON.stringify(settings));
    const ids = tenants.map((tenant) => schema.tenantId(tenant));
    const { exitCode, document } = await runForJson(
      [
        'enqueue',
        '--tenant',
        ...ids,
        '--no-archive',
        '--confirm',
        `DELETE ${ids.length} TENANTS FOREVER`,
      ],
      { env: { ...schema.environment }, cwd: folder },
    );
    const error = document['error'] as { readonly code: string } | undefined;
    return { exitCode, code: error?.code };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
