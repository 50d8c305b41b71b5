import { expect, it } from 'vitest';
import { asTableName } from '../../../src/domain/ids.ts';
import { countedHazards } from '../../../src/planner/hazards/counted-hazards.ts';
import { makePlan } from '../../../src/planner/make-plan.ts';
import { catalogue, key, plan, rules, table, tenants } from '../../support/catalogue.ts';

it('a circle in one statement weighs as much as the largest tenant has rows in it', () => {
  const made = plan(
    [table('a', 'id! tenant_id! b_id!'), table('b', 'id! tenant_id! a_id!')],
    [
      key('a(tenant_id) → tenants'),
      key('b(tenant_id) → tenants'),
      key('a(b_id) → b'),
      key('b(a_id) → a'),
    ],
  );
  const counted = countedHazards(made, [
    { id: 'one', rows: { 'public.a': 3, 'public.b': 4, 'public.tenants': 1 } },
    { id: 'two', rows: { 'public.a': 5 } },
  ]);
  expect(counted.find(({ type }) => type === 'CYCLE_IN_ONE_STATEMENT')?.count).toBe(7);
});

it('a missing index costs the rows of the child times the rows to delete', () => {
  const found = catalogue(
    [tenants, { ...table('posts', 'id! tenant_id!'), estimatedRows: 5_000 }],
    [key('posts(tenant_id) → tenants')],
  );
  const bare = {
    ...found,
    tables: found.tables.map((one) => ({
      ...one,
      indexes: one.name === tenants.name ? one.indexes : [],
    })),
  };
  const [hazard] = countedHazards(makePlan(bare, rules()), [
    { id: 'one', rows: { 'public.tenants': 1 } },
    { id: 'two', rows: { 'public.tenants': 1 } },
  ]).filter(({ type }) => type === 'FK_WITHOUT_INDEX');
  expect(hazard?.count).toBe(10_000);
  expect(hazard?.message).toContain('deletes 2 there: about 10000 rows read');
});

it('a partition of one tenant is named, with how to detach it, only where that tenant goes', () => {
  const leaf = (name: string, values: readonly string[], onlyValues = true) => ({
    name: asTableName(`public.${name}`),
    values,
    onlyValues,
  });
  const made = plan(
    [
      table('events', 'tenant_id!', {
        kind: 'partitioned',
        partitions: {
          strategy: 'list',
          columns: ['tenant_id'],
          leaves: [leaf('e1', ['one']), leaf('e2', ['two', 'three']), leaf('e3', ['four'], false)],
        },
      }),
    ],
    [key('events(tenant_id) → tenants')],
  );
  const linesFor = (id: string): string[] =>
    countedHazards(made, [{ id, rows: {} }])
      .filter(({ type }) => type === 'PARTITION_OF_ONE_TENANT')
      .map(({ remedy }) => remedy);
  expect(linesFor('one')).toEqual([
    'Once the purge has nothing left there, run: ALTER TABLE public.events DETACH PARTITION public.e1 CONCURRENTLY; DROP TABLE public.e1; (Without CONCURRENTLY where public.events has a DEFAULT partition.)',
  ]);
  expect(['two', 'four'].flatMap(linesFor)).toEqual([]);
});
