/** Ten real applications' schemas, purged by the program and judged by the foreign keys' values. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareSurveys } from '../support/schemas/comparison.ts';
import { applications } from '../support/schemas/facts.ts';
import type { Survey } from '../support/schemas/oracle.ts';
import {
  makeSchemaTemplate,
  PurgeCase,
  purgeAtOnce,
  purgeByBatches,
  type SchemaTemplate,
} from '../support/schemas/purge-case.ts';
import { owningSoftKeys, withKeys } from '../support/schemas/purge-settings.ts';

describe.each(applications)('tenants of %s', (application) => {
  let template: SchemaTemplate;

  beforeAll(async () => {
    template = await makeSchemaTemplate(application);
  });

  afterAll(() => template?.[Symbol.asyncDispose]());

  it('go with all their rows and no other, once the hazards are answered', async () => {
    await using it = await PurgeCase.open(template, { edges: 'strict' });
    const settings = await it.settle(it.bareSettings, [1, 3]);
    const before = await it.survey();
    const world = await it.start(settings);
    const [, one = '', , other = ''] = it.filled.tenants;
    const ids = { 1: await purgeAtOnce(world, one), 3: await purgeByBatches(world, other) };
    expect(compareSurveys(before, await it.survey(), { purged: [1, 3] })).toEqual([]);
    expect(byTable(await world.ledgerRows(ids[1]))).toEqual(rowsOf(before, 1));
    expect(byTable(await world.ledgerRows(ids[3]))).toEqual(rowsOf(before, 3));
  });

  it('go with what soft keys own where the settings say so', async () => {
    await using it = await PurgeCase.open(template, { edges: 'all' });
    const owning = withKeys(it.bareSettings, owningSoftKeys(template.graph), 'own');
    const settings = await it.settle(owning, [1, 3]);
    const before = await it.survey();
    const world = await it.start(settings);
    const [, one = '', , other = ''] = it.filled.tenants;
    await purgeAtOnce(world, one);
    await purgeByBatches(world, other);
    expect(compareSurveys(before, await it.survey(), { purged: [1, 3] })).toEqual([]);
  });
});

function byTable(rows: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(rows).map(([table, count]) => [table.replaceAll('"', ''), count]),
  );
}

function rowsOf({ totals }: Survey, owner: number): Record<string, number> {
  return Object.fromEntries(
    [...totals].flatMap(([table, owners]) => {
      const total = owners.get(owner);
      return total === undefined ? [] : [[table, total.count]];
    }),
  );
}
