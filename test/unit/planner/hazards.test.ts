import { describe, expect, it } from 'vitest';
import type { CatalogueTable } from '../../../src/planner/catalogue.ts';
import { makePlan } from '../../../src/planner/make-plan.ts';
import {
  catalogue,
  hazardLines,
  key,
  plan,
  rules,
  table,
  tenants,
} from '../../support/catalogue.ts';

const agentsKey = key('agents(tenant_id) → tenants');
const planWith = (more: Partial<CatalogueTable>, columns = 'id! tenant_id!', keys = [agentsKey]) =>
  plan([table('agents', columns, more)], keys);

describe('a hazard of a planned table', () => {
  it('blocks a foreign table', () => {
    const made = planWith({ kind: 'foreign' });
    expect(hazardLines(made)).toEqual(['UNSUPPORTED_TABLE blocks public.agents']);
  });

  it('does not concern an inherited table, which is a set of rows of its own', () => {
    expect(planWith({ kind: 'inherited' }).hazards).toEqual([]);
  });

  it('does not concern a partitioned table, whose step says so', () => {
    const made = planWith({ kind: 'partitioned' });
    expect(made.hazards).toEqual([]);
    expect(made.levels[0]?.steps[0]).toMatchObject({ kind: 'delete', partitioned: true });
  });

  it('blocks row security that applies to the role', () => {
    const made = planWith({ rowSecurityApplies: true });
    expect(hazardLines(made)).toEqual(['ROW_SECURITY blocks public.agents']);
    expect(made.hazards[0]?.remedy).toContain('ALTER ROLE purger BYPASSRLS;');
  });

  it('blocks a rule and a missing replica identity', () => {
    expect(hazardLines(planWith({ rules: ['archive'], replicaIdentityOk: false }))).toEqual([
      'DELETE_RULE blocks public.agents',
      'NO_REPLICA_IDENTITY blocks public.agents',
    ]);
  });

  it('blocks missing privileges and names the GRANT', () => {
    const made = planWith({ missingPrivileges: ['USAGE', 'SELECT', 'DELETE', 'UPDATE'] });
    expect(hazardLines(made)).toEqual(['MISSING_PRIVILEGE blocks public.agents']);
    expect(made.hazards[0]?.remedy).toContain(
      'GRANT USAGE ON SCHEMA public TO purger; GRANT SELECT, DELETE ON public.agents TO purger;',
    );
  });

  it('wants UPDATE only where something is cleared', () => {
    const missing = { missingPrivileges: ['UPDATE'] };
    expect(planWith(missing).hazards).toEqual([]);
    const made = planWith(missing, 'id! tenant_id! boss_id', [
      agentsKey,
      key('agents(boss_id) → agents'),
    ]);
    expect(hazardLines(made)).toEqual(['MISSING_PRIVILEGE blocks public.agents']);
  });

  it('asks for leave where a trigger runs before each row is deleted', () => {
    const made = planWith({
      triggers: [{ name: 'keep', timing: 'before', forEachRow: true, events: ['delete'] }],
    });
    expect(hazardLines(made)).toEqual(['BEFORE_DELETE_TRIGGER allow public.agents']);
  });

  it('names other triggers that fire, on update only where something is cleared', () => {
    const triggers: CatalogueTable['triggers'] = [
      { name: 'after_delete', timing: 'after', forEachRow: true, events: ['delete'] },
      { name: 'before_all', timing: 'before', forEachRow: false, events: ['delete'] },
      { name: 'touch', timing: 'before', forEachRow: true, events: ['update'] },
      { name: 'greet', timing: 'after', forEachRow: true, events: ['insert'] },
    ];
    const named = (made: ReturnType<typeof planWith>) =>
      made.hazards.map((hazard) => `${hazard.severity} ${hazard.message.split(' ')[2]}`);
    expect(named(planWith({ triggers }))).toEqual(['info after_delete', 'info before_all']);
    const cleared = planWith({ triggers }, 'id! tenant_id! boss_id', [
      agentsKey,
      key('agents(boss_id) → agents'),
    ]);
    expect(named(cleared)).toEqual(['info after_delete', 'info before_all', 'info touch']);
  });

  it('is not one where the table is not planned', () => {
    const made = plan(
      [table('plans', 'id!', { kind: 'foreign', rowSecurityApplies: true, rules: ['x'] })],
      [],
    );
    expect(hazardLines(made)).toEqual(['NOTHING_OWNED info public.tenants']);
  });

  it('is one where a kept table must be looked at by a guard and cannot', () => {
    const logs = table('logs', 'id! agent_id', {
      rowSecurityApplies: true,
      missingPrivileges: ['SELECT', 'DELETE'],
    });
    const made = plan(
      [table('agents', 'id! tenant_id!'), logs],
      [agentsKey, key('logs(agent_id) → agents', 'CASCADE')],
      { tables: { 'public.logs': { onPurge: 'keep' } } },
    );
    expect(hazardLines(made)).toEqual([
      'MISSING_PRIVILEGE blocks public.logs',
      'ROW_SECURITY blocks public.logs',
      'UNKNOWN_REFERENCE info public.logs',
    ]);
  });
});

describe('a table that is only looked at', () => {
  it.each(['NO ACTION', 'RESTRICT', 'CASCADE'] as const)(
    'must be readable, and nothing of it hidden, whatever its key does: %s',
    (action) => {
      const logs = table('logs', 'id! agent_id', {
        rowSecurityApplies: true,
        missingPrivileges: ['SELECT', 'DELETE', 'UPDATE'],
      });
      const made = plan(
        [table('agents', 'id! tenant_id!'), logs],
        [agentsKey, key('logs(agent_id) → agents', action)],
        { tables: { 'public.logs': { onPurge: 'keep' } } },
      );
      expect(hazardLines(made).slice(0, 2)).toEqual([
        'MISSING_PRIVILEGE blocks public.logs',
        'ROW_SECURITY blocks public.logs',
      ]);
      expect(made.hazards[0]?.message).toBe('The role purger lacks SELECT on public.logs.');
    },
  );
});

describe('the mark of a tenant that is to go', () => {
  it('is an update of the tenant table, with all that hangs on one', () => {
    const quiesce = { kind: 'column', column: 'name', value: 'going' } as const;
    const trigger: CatalogueTable['triggers'][number] = {
      name: 'touch',
      timing: 'before',
      forEachRow: true,
      events: ['update'],
    };
    const orgs = table('orgs', 'id! name:text!', {
      triggers: [trigger],
      updateRules: ['frozen'],
      missingPrivileges: ['UPDATE'],
    });
    const settings = { tenant: { table: 'public.orgs' } };
    const keys = [key('agents(tenant_id) → orgs')];
    expect(hazardLines(plan([orgs, table('agents', 'id! tenant_id!')], keys, settings))).toEqual(
      [],
    );
    const marking = { ...settings, quiesce };
    expect(hazardLines(plan([orgs, table('agents', 'id! tenant_id!')], keys, marking))).toEqual([
      'DELETE_RULE blocks public.orgs',
      'MISSING_PRIVILEGE blocks public.orgs',
      'TRIGGER info public.orgs',
    ]);
  });
});

describe('a rule', () => {
  it('on UPDATE blocks where something is cleared, and not where rows only go', () => {
    const nodes = table('nodes', 'id! tenant_id! parent_id', { updateRules: ['keep'] });
    const keys = [key('nodes(tenant_id) → tenants')];
    expect(hazardLines(plan([nodes], keys))).toEqual([]);
    const cleared = plan([nodes], [...keys, key('nodes(parent_id) → nodes')]);
    expect(hazardLines(cleared)).toEqual(['DELETE_RULE blocks public.nodes']);
    expect(cleared.facts).toContain('public.nodes: rule keep');
  });
});

describe('a hazard of a foreign key', () => {
  const agents = table('agents', 'id! tenant_id!', { estimatedRows: 5_000 });
  const planUnindexed = (more: Partial<CatalogueTable>) =>
    makePlan(
      { tables: [tenants, table('agents', 'id! tenant_id!', more)], foreignKeys: [agentsKey] },
      rules(),
    );

  it('asks for leave where a large child has no index on the key, with the exact statement', () => {
    const made = makePlan({ tables: [tenants, agents], foreignKeys: [agentsKey] }, rules());
    expect(hazardLines(made)).toEqual(['FK_WITHOUT_INDEX allow public.agents']);
    expect(made.hazards[0]?.message).toContain('5000 rows');
    expect(made.hazards[0]?.remedy).toBe('CREATE INDEX CONCURRENTLY ON public.agents (tenant_id);');
  });

  it('only informs where the child is small or was never analysed', () => {
    expect(hazardLines(planUnindexed({ estimatedRows: 1_000 }))).toEqual([
      'FK_WITHOUT_INDEX info public.agents',
    ]);
    expect(hazardLines(planUnindexed({ estimatedRows: -1 }))).toEqual([
      'FK_WITHOUT_INDEX info public.agents',
    ]);
  });

  it('does not take a partial, invalid or trailing index for a usable one', () => {
    const index = (columns: string[], usable: boolean) => ({
      name: 'i',
      columns,
      unique: false,
      usable,
    });
    const has = (columns: string[], usable = true) =>
      hazardLines(planUnindexed({ estimatedRows: 5_000, indexes: [index(columns, usable)] }))
        .length;
    expect(has(['tenant_id', 'id'])).toBe(0);
    expect(has(['id', 'tenant_id'])).toBe(1);
    expect(has(['tenant_id'], false)).toBe(1);
    expect(has([])).toBe(1);
  });

  it('takes the leading columns of a composite key in any order', () => {
    const runs = table('runs', 'id! tenant_id! agent_id!', {
      estimatedRows: 5_000,
      indexes: [
        { name: 'i', columns: ['agent_id', 'tenant_id', 'id'], unique: false, usable: true },
      ],
    });
    const made = makePlan(
      {
        tables: [tenants, { ...agents, estimatedRows: 0 }, runs],
        foreignKeys: [agentsKey, key('runs(tenant_id, agent_id) → agents(tenant_id, id)')],
      },
      rules(),
    );
    expect(made.hazards.filter((hazard) => hazard.table === runs.name)).toMatchObject([
      { type: 'TENANT_COLUMN_WITHOUT_KEY' },
    ]);
  });

  it('does not offer CONCURRENTLY for a partitioned table, which refuses it', () => {
    const made = planUnindexed({ kind: 'partitioned', estimatedRows: 5_000 });
    expect(made.hazards[0]?.remedy).toBe('CREATE INDEX ON public.agents (tenant_id);');
  });

  it('does not concern keys that lead out of the plan', () => {
    const made = plan(
      [table('agents', 'id! tenant_id! plan_id!'), table('plans', 'id!')],
      [agentsKey, key('agents(plan_id) → plans', 'CASCADE', { period: true })],
    );
    expect(made.hazards).toEqual([]);
  });

  it('blocks a tenant key of several columns, and one that is not unique', () => {
    const composite = table('orgs', 'region! number!', { primaryKey: ['region', 'number'] });
    const withRules = (key: string | null, found: CatalogueTable) =>
      hazardLines(
        makePlan(catalogue([found], []), rules({ tenant: { table: 'public.orgs', key } })),
      );
    expect(withRules(null, composite)).toEqual(['UNSUPPORTED_KEY blocks public.orgs']);
    expect(withRules('number', composite)).toEqual(['UNSUPPORTED_KEY blocks public.orgs']);
    const unique = { name: 'u', columns: ['number'], unique: true, usable: true };
    expect(withRules('number', { ...composite, indexes: [unique] })).toEqual([]);
  });

  it('has a remedy in every case', () => {
    const made = plan(
      [table('agents', 'id! tenant_id!', { kind: 'foreign', rules: ['r'] }), table('x', 'id! a')],
      [agentsKey, key('x(a) → agents')],
    );
    for (const hazard of made.hazards) {
      expect(hazard.remedy).not.toBe('');
      expect(hazard.message).toContain(hazard.table);
    }
  });
});

describe('what an operator should know', () => {
  it('is a table without a primary key, a publication and a materialized view', () => {
    const made = planWith({
      primaryKey: null,
      publications: ['audit'],
      materializedViews: ['public.totals'],
    });
    expect(hazardLines(made)).toEqual([
      'MATERIALIZED_VIEW info public.agents',
      'NO_PRIMARY_KEY info public.agents',
      'PUBLICATION info public.agents',
    ]);
    expect(made.hazards[0]?.remedy).toContain('REFRESH MATERIALIZED VIEW public.totals;');
  });

  it('is a SET NULL action over a column that is NOT NULL', () => {
    const made = planWith({}, 'id! tenant_id! boss_id!', [
      agentsKey,
      key('agents(boss_id) → agents', 'SET NULL'),
    ]);
    expect(hazardLines(made)).toContain('SET_NULL_OVER_NOT_NULL info public.agents');
    const partly = planWith({}, 'id! tenant_id! boss_id', [
      agentsKey,
      key('agents(tenant_id, boss_id) → agents(tenant_id, id)', 'SET NULL', {
        setColumns: ['boss_id'],
      }),
    ]);
    expect(partly.hazards).toEqual([]);
  });

  it.each([
    ['CHECK ((boss_id IS NOT NULL) OR (id = id))', 1],
    ['CHECK ((boss_id <> id))', 0],
  ])('is a CHECK that may refuse a NULL: %s', (definition, count) => {
    const checks = [{ name: 'has_boss', columns: ['boss_id', 'id'], definition }];
    const made = planWith({ checks }, 'id! tenant_id! boss_id', [
      agentsKey,
      key('agents(boss_id) → agents'),
    ]);
    expect(hazardLines(made)).toEqual(
      Array.from({ length: count }, () => 'CLEAR_BREAKS_CHECK allow public.agents'),
    );
  });

  it('is such a CHECK over what a rule clears, whose rows the data check reads', () => {
    const checks = [
      { name: 'has', columns: ['agent_id'], definition: 'CHECK ((agent_id IS NOT NULL))' },
    ];
    const made = plan(
      [table('agents', 'id! tenant_id!'), table('logs', 'id! agent_id', { checks })],
      [agentsKey, key('logs(agent_id) → agents')],
      { foreignKeys: { 'public.logs.agent_id_fkey': 'set-null' } },
    );
    expect(hazardLines(made)).toEqual(['CLEAR_BREAKS_CHECK info public.logs']);
    expect(made.references.find(({ rule }) => rule === 'set-null')?.clearChecks).toEqual([
      { name: 'has', definition: 'CHECK ((agent_id IS NOT NULL))' },
    ]);
  });
});
