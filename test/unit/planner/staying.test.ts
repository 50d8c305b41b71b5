import { describe, expect, it } from 'vitest';
import type { Plan } from '../../../src/domain/plan.ts';
import type { TableRule } from '../../../src/planner/rules.ts';
import { hazardLines, key, levelLines, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id!');
const runs = table('runs', 'id! agent_id!');
const keys = [key('agents(tenant_id) → tenants'), key('runs(agent_id) → agents')];

const planWith = (columns: string, rule: TableRule, more: Parameters<typeof plan>[1] = []): Plan =>
  plan([agents, runs, table('audit', columns)], [...keys, ...more], {
    tables: { 'public.audit': rule },
  });

describe('a table whose rows stay', () => {
  it('loses its tenant column at the very beginning, where no key does it', () => {
    const made = planWith('id! tenant_id', { onPurge: 'set-null' });
    expect(levelLines(made)).toEqual([
      'dependents 1: audit.tenant_id=NULL runs',
      'dependents 2: agents',
      'tenant: tenants',
    ]);
    expect(made.levels[0]?.steps[0]).toMatchObject({ reason: 'table', foreignKey: 'public.audit' });
    expect(made.references.map(({ child }) => child)).not.toContain('public.audit');
  });

  it('loses the column of a key when what it refers to goes', () => {
    const made = planWith('id! tenant_id agent_id', { onPurge: 'set-null' }, [
      key('audit(tenant_id) → tenants'),
      key('audit(agent_id) → agents'),
    ]);
    expect(levelLines(made)).toEqual([
      'dependents 1: runs',
      'dependents 2: audit.agent_id=NULL agents',
      'tenant: audit.tenant_id=NULL tenants',
    ]);
    expect(made.references.filter(({ child }) => child === 'public.audit')).toMatchObject([
      { rule: 'set-null', childDeleted: false },
      { rule: 'set-null', childDeleted: false },
    ]);
    expect(made.hazards.filter(({ severity }) => severity === 'blocks')).toEqual([]);
  });

  it('blocks where a column that should be cleared is NOT NULL, keyed or not', () => {
    const plain = planWith('id! tenant_id!', { onPurge: 'set-null' });
    expect(hazardLines(plain)).toContain('SET_NULL_OVER_NOT_NULL blocks public.audit');
    const keyed = planWith('id! tenant_id!', { onPurge: 'set-null' }, [
      key('audit(tenant_id) → tenants'),
    ]);
    expect(hazardLines(keyed)).toContain('SET_NULL_OVER_NOT_NULL blocks public.audit');
  });

  it('gets the values that the configuration gives, first of all', () => {
    const made = planWith('id! tenant_id! name:text status:text!', {
      onPurge: 'update',
      set: { status: 'gone', name: null },
    });
    expect(levelLines(made)[0]).toBe('dependents 1: audit.name,status=,gone runs');
    expect(made.levels[0]?.steps[0]).toMatchObject({
      columns: ['name', 'status'],
      values: [null, 'gone'],
      reason: 'operator',
    });
  });

  it('is found by SQL of the operator, which is reported', () => {
    const made = planWith('id! owner:text status:text', {
      where: `owner = 'tenant:' || {tenantId}`,
      onPurge: 'update',
      set: { status: 'gone' },
    });
    expect(made.levels[0]?.steps[0]).toMatchObject({ path: { ways: [{ kind: 'condition' }] } });
    expect(hazardLines(made)).toContain('OPERATOR_CONDITION info public.audit');
  });

  it.each<TableRule>([{ onPurge: 'set-null' }, { onPurge: 'update', set: { status: 'gone' } }])(
    "blocks where nothing says which rows are the tenant's: %j",
    (rule) => {
      const made = planWith('id! status:text', rule);
      expect(hazardLines(made)).toEqual(['OWNER_UNCLEAR blocks public.audit']);
    },
  );

  it('blocks where two columns may name different tenants', () => {
    const made = planWith('id! a! b! status:text', { onPurge: 'update', set: { status: 'gone' } }, [
      key('audit(a) → tenants'),
      key('audit(b) → tenants'),
    ]);
    expect(hazardLines(made)).toContain('OWNER_AMBIGUOUS blocks public.audit');
  });

  it.each<[string, TableRule, string]>([
    ['nothing to set', { onPurge: 'update' }, 'name the new values in "set"'],
    ['values that nobody reads', { set: { status: 'x' } }, 'only "onPurge": "update" reads'],
    ['an unknown column', { onPurge: 'update', set: { stat: 'x' } }, 'Did you mean status?'],
    ['NULL for a NOT NULL column', { onPurge: 'update', set: { id: null } }, 'id is NOT NULL'],
    ['SQL without the tenant', { where: 'true' }, 'must contain {tenantId}'],
    ['two owners', { where: '{tenantId} = 1', ownedBy: ['id'] }, 'both "ownedBy" and "where"'],
    ['SQL for a kept table', { where: '{tenantId} = 1', onPurge: 'keep' }, 'take one away'],
  ])('is refused with %s', (_what, rule, message) => {
    expect(() => planWith('id! status:text', rule)).toThrow(message);
  });
});
