import { expect, it } from 'vitest';
import { asTableName } from '../../../src/domain/ids.ts';
import type { ReferenceCheck, Way } from '../../../src/domain/plan.ts';
import { hasSameOwner } from '../../../src/planner/ownership/same-owner.ts';
import { columnWay, parentWay, pathOf, reference } from '../../support/hand-made-plan.ts';

const agents = pathOf('agents');
const byTenant = columnWay('tenant_id', 'foreign-key');
const byAgent = parentWay('agent_id', agents);
const when = [{ column: 'kind', value: 'agent' }];
const guarded = (way: Way): Way =>
  way.kind === 'column' || way.kind === 'parent' ? { ...way, when } : way;

const composite = {
  columns: ['tenant_id', 'agent_id'],
  referencedColumns: ['tenant_id', 'id'],
} as const;

it.each<[string, boolean, ReferenceCheck]>([
  ['the path follows the key', true, reference(pathOf('notes', byAgent), 'agent_id', agents)],
  [
    'the path follows the key first, where it has a value',
    true,
    reference(pathOf('notes', { ...byAgent, nullable: true }, byTenant), 'agent_id', agents),
  ],
  [
    'another way decides before the key',
    false,
    reference(pathOf('notes', byTenant, byAgent), 'agent_id', agents),
  ],
  ['the row has a tenant of its own', false, reference(pathOf('notes'), 'agent_id', agents)],
  ['the path follows another key', false, reference(pathOf('notes', byAgent), 'maker_id', agents)],
  [
    'the path follows the key under a condition only',
    false,
    reference(pathOf('notes', guarded(byAgent)), 'agent_id', agents),
  ],
  [
    'the key refers to one partition, the path to all',
    false,
    reference(pathOf('notes', byAgent), 'agent_id', agents, {
      parentRelation: asTableName('public.agents_1'),
    }),
  ],
  [
    'the key carries the tenant on both sides',
    true,
    reference(pathOf('notes'), 'agent_id', agents, composite),
  ],
  [
    'the key carries the tenant, in another order',
    true,
    reference(pathOf('notes'), 'agent_id', agents, {
      columns: ['agent_id', 'tenant_id'],
      referencedColumns: ['id', 'tenant_id'],
    }),
  ],
  [
    'the key crosses the columns',
    false,
    reference(pathOf('notes'), 'agent_id', agents, {
      columns: ['agent_id', 'tenant_id'],
      referencedColumns: ['tenant_id', 'id'],
    }),
  ],
  [
    'the key carries the tenant, but the row referred to is owned otherwise',
    false,
    reference(pathOf('notes'), 'agent_id', pathOf('agents', byAgent), composite),
  ],
  [
    'the key carries the tenant of a row that is owned under a condition',
    false,
    reference(pathOf('notes', guarded(byTenant)), 'agent_id', agents, composite),
  ],
  [
    'the key refers to the tenant itself by its key',
    true,
    reference(pathOf('notes'), 'tenant_id', pathOf('tenants', columnWay('id', 'tenant'))),
  ],
  [
    'the table is nobody’s',
    false,
    reference(pathOf('notes'), 'agent_id', agents, { childPath: null }),
  ],
  [
    'the key matches by periods',
    false,
    reference(pathOf('notes'), 'agent_id', agents, { ...composite, period: true }),
  ],
])('Where %s, that both rows have one owner is known without a look: %s', (_, known, check) => {
  expect(hasSameOwner(check)).toBe(known);
});
