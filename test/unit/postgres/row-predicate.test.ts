import { expect, it } from 'vitest';
import { asPurgeId, asTableName, asTenantId } from '../../../src/domain/ids.ts';
import type { TenantPath } from '../../../src/domain/plan.ts';
import {
  arrayLiteral,
  countedParts,
  ownedRows,
  stepAlternatives,
  stepRows,
} from '../../../src/postgres/rows/row-predicate.ts';
import {
  clearStep,
  columnWay,
  deleteStep,
  parentWay,
  pathOf,
} from '../../support/hand-made-plan.ts';

const agents = pathOf('agents');
const who = {
  tenantId: asTenantId("o'hara"),
  purgeId: asPurgeId('11111111-1111-4111-8111-111111111111'),
};
const sqlOf = (path: TenantPath): string => ownedRows(path, 't', who.tenantId);

it('A tenant column is compared with the bare literal, so that its index serves', () => {
  expect(sqlOf(agents)).toBe(`t."tenant_id" = 'o''hara'`);
});

it('A parent is looked up by a semi-join, without what inherits from it', () => {
  expect(sqlOf(pathOf('notes', parentWay('agent_id', agents)))).toBe(
    `(t."agent_id") in (select tp."id" from only public.agents tp where tp."tenant_id" = 'o''hara')`,
  );
});

it('A partitioned parent, or one partition of it, is read without ONLY', () => {
  const partitioned = { ...agents, partitioned: true };
  expect(sqlOf(pathOf('notes', parentWay('agent_id', partitioned)))).toContain(
    'from public.agents tp',
  );
  const way = { ...parentWay('agent_id', partitioned), relation: asTableName('public.agents_1') };
  expect(sqlOf(pathOf('notes', way))).toContain('from public.agents_1 tp');
});

it('The first way for which a row has a value decides, and one that all have ends the list', () => {
  const ways = [
    { ...columnWay('tenant_id', 'foreign-key'), nullable: true },
    { ...columnWay('owner', 'column'), when: [{ column: 'kind', value: 't' }], nullable: true },
    columnWay('payer', 'column'),
    columnWay('never_asked', 'column'),
  ];
  expect(sqlOf(pathOf('files', ...ways))).toBe(
    `((t."tenant_id" = 'o''hara')` +
      ` or (not (t."tenant_id" is not null) and t."owner" = 'o''hara' and t."kind" = 't')` +
      ` or (not (t."tenant_id" is not null)` +
      ` and not (t."owner" is not null and (t."kind" = 't') is true) and t."payer" = 'o''hara'))`,
  );
});

it('A condition of the operator’s own stands in parentheses with the tenant in each place', () => {
  const sql = 'a = {tenantId} or b = {tenantId}';
  const path = pathOf('imports', { kind: 'condition', via: 'configuration', nullable: false, sql });
  expect(sqlOf(path)).toMatch(/^\(a = 'o''hara' or b = 'o''hara'\s*\)$/);
});

it('Rows of a table without ways are nobody’s', () => {
  expect(sqlOf({ ...agents, ways: [] })).toBe('false');
});

it('Rows that go by a rule are found beside the tenant’s own, and counted once', () => {
  const step = deleteStep(pathOf('notes'), {
    also: [pathOf('notes', parentWay('agent_id', agents))],
  });
  expect(stepAlternatives(step, 't', who)).toHaveLength(2);
  expect(stepRows(step, 't', who)).toMatch(/^\(\(t\."tenant_id" = .*\) or \(\(t\."agent_id"\) in /);
  expect(countedParts(step, 't', who.tenantId)[1]).toMatch(/\) is not true$/);
});

it('A clear leaves out rows that hold the new values already', () => {
  const clear = { foreignKey: 'public.notes', columns: ['a', 'b'], reason: 'operator' } as const;
  expect(stepRows(clearStep(agents, { ...clear, values: ['x', null] }), 't', who)).toBe(
    `t."tenant_id" = 'o''hara' and (t."a" is distinct from 'x' or t."b" is not null)`,
  );
});

it('A one-to-one parent goes by the key that was remembered, once nothing refers to it', () => {
  const files: TenantPath = pathOf('files', {
    kind: 'child',
    via: 'configuration',
    nullable: true,
    columns: ['id'],
    columnTypes: ['uuid'],
    foreignKey: 'public.agents.agents_file_id_fkey',
    referencingColumns: ['file_id'],
    child: agents,
  });
  const referrer = {
    relation: agents.table,
    partitioned: false,
    columns: ['file_id'],
    referencedColumns: ['id'],
  };
  const sql = stepRows(deleteStep(files, { unlessReferenced: [referrer] }), 't', who);
  expect(sql).toContain('(t."id") in (select r.key[1]::uuid from tenant_purge.remembered r');
  expect(sql).toContain(`r.foreign_key = 'public.agents.agents_file_id_fkey'`);
  expect(sql).toContain('and not exists (select from only public.agents tr');
  expect(sqlOf(files)).toBe(
    `(t."id") in (select tc."file_id" from only public.agents tc where tc."tenant_id" = 'o''hara')`,
  );
});

it('An array of ids survives quotes, backslashes and commas', () => {
  expect(arrayLiteral(['a', `b"c'd`, 'e\\f,g'])).toBe(` E'{"a","b\\\\"c''d","e\\\\\\\\f,g"}'`);
});
