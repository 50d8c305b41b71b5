import { describe, expect, it } from 'vitest';
import { hazardLines, key, levelLines, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id!');
const agentsKey = key('agents(tenant_id) → tenants');
const own = (relation: string, columns = '') => ({
  table: table(relation, `id! tenant_id! ${columns}`.trim()),
  key: key(`${relation}(tenant_id) → tenants`),
});

describe('the order of a plan', () => {
  it('puts each table one level after the last table that refers to it, the tenant last', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id!'), table('steps', 'id! run_id!'), own('notes').table],
      [agentsKey, own('notes').key, key('runs(agent_id) → agents'), key('steps(run_id) → runs')],
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: notes steps',
      'dependents 2: runs',
      'dependents 3: agents',
      'tenant: tenants',
    ]);
  });

  it('has nothing but the tenant where nothing else belongs to one', () => {
    expect(levelLines(plan([table('plans', 'id!')], []))).toEqual(['tenant: tenants']);
  });

  it('keeps core tables for the end, with the tables they refer to', () => {
    const members = own('members');
    const regions = own('regions');
    const workspaces = own('workspaces', 'region_id!');
    const made = plan(
      [agents, members.table, regions.table, workspaces.table],
      [agentsKey, members.key, regions.key, workspaces.key, key('workspaces(region_id) → regions')],
      { core: ['public.agents', 'public.workspaces'] },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: members',
      'core 1: agents workspaces',
      'core 2: regions',
      'tenant: tenants',
    ]);
    expect(made.core).toEqual(['public.agents', 'public.workspaces']);
  });

  it('names a single core level without a number', () => {
    const made = plan([agents], [agentsKey], { core: ['public.agents'] });
    expect(levelLines(made)).toEqual(['core: agents', 'tenant: tenants']);
  });

  it('puts a child first whatever the action of its key', () => {
    const logs = own('logs', 'agent_id');
    for (const action of ['SET NULL', 'SET DEFAULT', 'CASCADE', 'RESTRICT'] as const) {
      const made = plan(
        [agents, logs.table],
        [agentsKey, logs.key, key('logs(agent_id) → agents', action)],
      );
      expect(levelLines(made)).toEqual([
        'dependents 1: logs',
        'dependents 2: agents',
        'tenant: tenants',
      ]);
    }
  });

  it('clears the nullable side of a cycle in the level before its tables', () => {
    const workspaces = own('workspaces', 'agent_id');
    const teams = own('teams', 'workspace_id!');
    const made = plan(
      [workspaces.table, teams.table, own('agents', 'workspace_id!').table],
      [
        agentsKey,
        workspaces.key,
        teams.key,
        key('agents(workspace_id) → workspaces'),
        key('teams(workspace_id) → workspaces'),
        key('workspaces(agent_id) → agents'),
      ],
      { core: ['public.agents', 'public.workspaces'] },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: workspaces.agent_id=NULL teams',
      'core 1: agents',
      'core 2: workspaces',
      'tenant: tenants',
    ]);
    expect(made.levels[0]?.steps[0]).toMatchObject({
      kind: 'clear',
      reason: 'cycle',
      foreignKey: 'public.workspaces.agent_id_fkey',
    });
    expect(made.hazards).toEqual([]);
  });

  it('breaks two cycles with the one key that they share', () => {
    const [a, b, c] = [own('a', 'b_id'), own('b', 'a_id c_id'), own('c', 'b_id a_id')];
    const made = plan(
      [a.table, b.table, c.table],
      [
        a.key,
        b.key,
        c.key,
        key('a(b_id) → b'),
        key('b(a_id) → a'),
        key('b(c_id) → c'),
        key('c(a_id) → a'),
      ],
    );
    const clears = made.levels.flatMap((level) => level.steps.filter((s) => s.kind === 'clear'));
    expect(clears.map((step) => step.foreignKey)).toEqual(['public.a.b_id_fkey']);
  });

  it('clears only the nullable part of a composite key', () => {
    const a = own('a', 'b_id');
    const b = own('b', 'a_id!');
    const made = plan(
      [a.table, b.table],
      [
        a.key,
        b.key,
        key('a(tenant_id, b_id) → b(tenant_id, id)'),
        key('b(tenant_id, a_id) → a(tenant_id, id)'),
      ],
    );
    expect(levelLines(made)[0]).toBe('dependents 1: a.b_id=NULL');
  });

  it('does not clear part of a MATCH FULL key: the circle goes in one statement', () => {
    const a = own('a', 'b_id');
    const b = own('b', 'a_id!');
    const made = plan(
      [a.table, b.table],
      [
        a.key,
        b.key,
        key('a(tenant_id, b_id) → b(tenant_id, id)', 'NO ACTION', { matchFull: true }),
        key('b(a_id) → a'),
      ],
    );
    expect(hazardLines(made)).toEqual(['CYCLE_IN_ONE_STATEMENT allow public.a']);
  });

  it('never clears a column that says who owns the row', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id tail_id'), table('tails', 'id! run_id!')],
      [
        agentsKey,
        key('runs(agent_id) → agents', 'CASCADE'),
        key('runs(tail_id) → tails'),
        key('tails(run_id) → runs'),
      ],
    );
    expect(levelLines(made)[0]).toBe('dependents 1: runs.tail_id=NULL');
    expect(hazardLines(made)).toEqual([
      'TENANT_ROWS_OF_NOBODY info public.runs',
      'TENANT_ROWS_OF_NOBODY info public.tails',
    ]);
  });

  it('deletes a circle that nothing can break in one statement, on leave, and prints it', () => {
    const [a, b] = [own('a', 'b_id!'), own('b', 'a_id!')];
    const made = plan([a.table, b.table], [a.key, b.key, key('a(b_id) → b'), key('b(a_id) → a')]);
    expect(levelLines(made)).toEqual(['dependents 1: one-statement(a b)', 'tenant: tenants']);
    expect(hazardLines(made)).toEqual(['CYCLE_IN_ONE_STATEMENT allow public.a']);
    expect(made.hazards[0]?.message).toContain('public.a → public.b → public.a');
    expect(made.hazards[0]?.remedy).toContain(
      'ALTER TABLE public.a ALTER COLUMN b_id DROP NOT NULL',
    );
  });

  it('clears a reference of the tenant row to a table that goes before it', () => {
    const tenant = table('orgs', 'id! owner_id');
    const made = plan(
      [tenant, table('users', 'id! org_id!')],
      [key('users(org_id) → orgs'), key('orgs(owner_id) → users')],
      { tenant: { table: 'public.orgs' } },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: orgs.owner_id=NULL',
      'dependents 2: users',
      'tenant: orgs',
    ]);
  });

  it('takes the tenant row into a circle that it belongs to, even without a key back', () => {
    const tenant = table('orgs', 'id! owner_id!');
    const owner = key('orgs(owner_id) → users');
    const to = { table: 'public.orgs', columns: ['org_id'] };
    const users = table('users', 'id! org_id!');
    const made = plan([tenant, users, own('notes').table], [owner], { tenant: to });
    expect(hazardLines(made)).toContain('CYCLE_IN_ONE_STATEMENT allow public.orgs');
    const withKey = plan(
      [tenant, users, table('roles', 'id! org_id!'), table('posts', 'id! user_id!')],
      [
        owner,
        key('users(org_id) → orgs'),
        key('roles(org_id) → orgs'),
        key('posts(user_id) → users'),
      ],
      { tenant: to, core: ['public.users'] },
    );
    expect(levelLines(withKey)).toEqual([
      'dependents 1: posts roles',
      'tenant: one-statement(orgs users)',
    ]);
    expect(withKey.core).toEqual(['public.users']);
  });

  it('clears a nullable self reference in the level before, whatever its action', () => {
    for (const action of ['NO ACTION', 'CASCADE', 'SET NULL', 'RESTRICT'] as const) {
      const made = plan(
        [table('notes', 'id! tenant_id! parent_id')],
        [key('notes(tenant_id) → tenants'), key('notes(parent_id) → notes', action)],
      );
      expect(levelLines(made)).toEqual([
        'dependents 1: notes.parent_id=NULL',
        'dependents 2: notes',
        'tenant: tenants',
      ]);
      expect(made.levels[0]?.steps[0]).toMatchObject({ reason: 'self' });
    }
  });

  it('deletes a table in one statement whose references to itself cannot be cleared', () => {
    const made = plan(
      [table('notes', 'id! tenant_id! root_id! parent_id')],
      [
        key('notes(tenant_id) → tenants'),
        key('notes(root_id) → notes'),
        key('notes(parent_id) → notes'),
      ],
    );
    expect(levelLines(made)).toEqual(['dependents 1: one-statement(notes)', 'tenant: tenants']);
    expect(hazardLines(made)).toEqual(['CYCLE_IN_ONE_STATEMENT allow public.notes']);
    expect(made.hazards[0]?.foreignKey).toBe('public.notes.root_id_fkey');
  });

  it('knows a tenant table that refers to itself for a tree, which only informs', () => {
    const tenant = { tenant: { table: 'public.orgs' } };
    const [orgs, parent] = [table('orgs', 'id! parent_id'), key('orgs(parent_id) → orgs')];
    const made = plan([orgs], [parent], tenant);
    expect(levelLines(made)).toEqual(['tenant: orgs']);
    expect(hazardLines(made)).toContain('TENANT_TREE info public.orgs');
    expect(made.hazards.find(({ type }) => type === 'TENANT_TREE')?.remedy).toContain(
      '--with-descendants',
    );
    expect(made.tree).toEqual([
      { foreignKey: parent.name, columns: ['parent_id'], referencedColumns: ['id'] },
    ]);
    expect(made.references).toEqual([]);
  });

  it('lets descendants lose their ancestor where the configuration says so', () => {
    const made = plan([table('orgs', 'id! parent_id')], [key('orgs(parent_id) → orgs')], {
      tenant: { table: 'public.orgs' },
      foreignKeys: { 'public.orgs.parent_id_fkey': 'set-null' },
    });
    expect(levelLines(made)).toEqual(['tenant: orgs.parent_id=NULL orgs']);
    expect(made.tree).toEqual([]);
    expect(hazardLines(made)).toEqual(['NOTHING_OWNED info public.orgs']);
    expect(made.references).toMatchObject([{ rule: 'set-null', clearColumns: ['parent_id'] }]);
  });

  it('names each key whose action would change rows by itself', () => {
    const logs = own('logs', 'agent_id parent_id');
    const made = plan(
      [own('agents', 'boss_id').table, logs.table, table('plain', 'id! agent_id!')],
      [
        agentsKey,
        logs.key,
        key('agents(boss_id) → agents', 'CASCADE'),
        key('logs(agent_id) → agents', 'SET NULL'),
        key('plain(agent_id) → agents'),
      ],
    );
    const step = made.levels
      .flatMap((level) => level.steps)
      .find((found) => found.kind === 'delete' && found.table === 'public.agents');
    expect(step).toMatchObject({
      actingKeys: [
        { foreignKey: 'public.agents.boss_id_fkey', action: 'CASCADE', child: 'public.agents' },
        {
          foreignKey: 'public.logs.agent_id_fkey',
          action: 'SET NULL',
          child: 'public.logs',
          columns: ['agent_id'],
          referencedColumns: ['id'],
        },
      ],
    });
  });
});
