import { describe, expect, it } from 'vitest';
import { asTableName } from '../../../src/domain/ids.ts';
import { describePath } from '../../../src/domain/plan.ts';
import type { CataloguePartitions } from '../../../src/planner/catalogue.ts';
import { key, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id!');
const agentsKey = key('agents(tenant_id) → tenants');

describe('the references of a plan', () => {
  it('say of each key into a deleted table who refers how, and what becomes of such a row', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id!'), table('logs', 'id! agent_id')],
      [agentsKey, key('runs(agent_id) → agents'), key('logs(agent_id) → agents', 'SET NULL')],
    );
    expect(
      made.references.map(({ childPath, parent, ...check }) => ({
        ...check,
        childPath: childPath === null ? null : describePath(childPath),
        parent: describePath(parent),
      })),
    ).toMatchObject([
      { foreignKey: 'public.agents.tenant_id_fkey', childPath: 'tenant_id', parent: 'id' },
      {
        foreignKey: 'public.logs.agent_id_fkey',
        action: 'SET NULL',
        rule: 'refuse',
        isRuled: false,
        child: 'public.logs',
        childRelation: 'public.logs',
        childPath: null,
        childDeleted: false,
        childPrimaryKey: ['id'],
        columns: ['agent_id'],
        referencedColumns: ['id'],
        period: false,
        parent: 'tenant_id',
        parentAlso: [],
        parentRelation: 'public.agents',
        clearColumns: [],
        clearChecks: [],
      },
      {
        foreignKey: 'public.runs.agent_id_fkey',
        childPath: 'agent_id → public.agents.tenant_id',
        childDeleted: true,
      },
    ]);
  });

  it('name the single partitions that a key stands on and refers to, and its ranges', () => {
    const [from, to] = [asTableName('public.runs_1'), asTableName('public.agents_1')];
    const made = plan(
      [agents, table('runs', 'id! agent_id')],
      [
        agentsKey,
        key('runs(agent_id) → agents', 'NO ACTION', {
          childPartition: from,
          parentPartition: to,
          period: true,
        }),
      ],
    );
    expect(made.references[1]).toMatchObject({
      childRelation: from,
      parentRelation: to,
      period: true,
    });
  });
});

describe('the partitions of a plan', () => {
  const leaf = (name: string, values: readonly string[], onlyValues = true) => ({
    name: asTableName(`public.${name}`),
    values,
    onlyValues,
  });
  const partitionsOf = (partitions: CataloguePartitions) =>
    plan([table('agents', 'id! tenant_id!', { kind: 'partitioned', partitions })], [agentsKey])
      .partitions;

  it('are those whose bound admits rows of one tenant only', () => {
    const leaves = [leaf('a1', ['1']), leaf('a2', ['2', '3']), leaf('a3', ['4'], false)];
    expect(partitionsOf({ strategy: 'list', columns: ['tenant_id'], leaves })).toEqual([
      { table: 'public.agents', partition: 'public.a1', tenantId: '1' },
    ]);
  });

  it('lie directly below the table, whatever partitions they have', () => {
    const within = asTableName('public.a1');
    const leaves = [leaf('a1_x', ['1']), leaf('a1_y', ['1'])].map((one) => ({ ...one, within }));
    expect(partitionsOf({ strategy: 'list', columns: ['tenant_id'], leaves })).toEqual([
      { table: 'public.agents', partition: within, tenantId: '1' },
    ]);
  });

  it('are none where the table is divided by something else', () => {
    const leaves = [leaf('a1', ['1'])];
    expect(partitionsOf({ strategy: 'list', columns: ['region'], leaves })).toEqual([]);
    expect(partitionsOf({ strategy: 'hash', columns: ['tenant_id'], leaves })).toEqual([]);
  });
});
