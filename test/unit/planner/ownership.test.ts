import { describe, expect, it } from 'vitest';
import { deleteSteps } from '../../../src/domain/plan.ts';
import type { TableRule } from '../../../src/planner/rules.ts';
import { hazardLines, key, pathsOf, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id!');
const agentsKey = key('agents(tenant_id) → tenants');

describe('the owner of a table', () => {
  it('is found by the foreign key to the tenant table', () => {
    const made = plan([agents], [agentsKey]);
    expect(pathsOf(made)).toEqual({
      'public.agents': 'tenant_id by foreign-key',
      'public.tenants': 'id by tenant',
    });
    expect(made.hazards).toEqual([]);
  });

  it('is found by a nullable key to the tenant table too, and rows of nobody are reported', () => {
    const made = plan([table('notes', 'id! tenant_id')], [key('notes(tenant_id) → tenants')]);
    expect(pathsOf(made)).toHaveProperty(['public.notes'], 'tenant_id by foreign-key');
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.notes']);
  });

  it('is found by a key to another unique column of the tenant table', () => {
    const made = plan(
      [table('domains', 'id! tenant_name:text!')],
      [key('domains(tenant_name) → tenants(name)')],
    );
    expect(pathsOf(made)).toHaveProperty(
      ['public.domains'],
      'tenant_name → public.tenants.id by foreign-key',
    );
  });

  it('is found by a tenant column without a foreign key, which is reported', () => {
    const made = plan([agents, table('audit_log', 'id! tenant_id!')], [agentsKey]);
    expect(pathsOf(made)).toHaveProperty(['public.audit_log'], 'tenant_id by column');
    expect(hazardLines(made)).toEqual(['TENANT_COLUMN_WITHOUT_KEY info public.audit_log']);
  });

  it('is found by a tenant column that only the configuration names', () => {
    const made = plan([table('logs', 'id! customer!')], [], { tenant: { columns: ['customer'] } });
    expect(pathsOf(made)).toHaveProperty(['public.logs'], 'customer by column');
  });

  it.each([
    ["a table that shares the tenant's key", table('profiles', 'id!')],
    ["a table of the tenants' versions", table('versions', 'id! n!', { primaryKey: ['id', 'n'] })],
  ])("is never told by the name of other tables' own keys, though %s has it too", (_, direct) => {
    const name = direct.relation;
    const made = plan(
      [
        direct,
        agents,
        table('plans', 'id! price'),
        table('runs', 'id! agent_id!'),
        table('logs', 'id n'),
      ],
      [key(`${name}(id) → tenants`), agentsKey, key('runs(agent_id) → agents')],
    );
    expect(pathsOf(made)).toEqual({
      'public.agents': 'tenant_id by foreign-key',
      [`public.${name}`]: 'id by foreign-key',
      'public.runs': 'agent_id → public.agents.tenant_id by parent',
      'public.tenants': 'id by tenant',
    });
  });

  it('is a column that holds the primary key, where another column names the tenants', () => {
    const made = plan([agents, table('audit_log', 'id! tenant_id!')], [agentsKey], {
      tenant: { key: 'name' },
    });
    expect(pathsOf(made)).toMatchObject({
      'public.agents': 'tenant_id → public.tenants.name by foreign-key',
      'public.audit_log': 'tenant_id → public.tenants.name by column',
    });
    expect(hazardLines(made)).toContain('TENANT_COLUMN_WITHOUT_KEY info public.audit_log');
    const likely = plan([table('audit_log', 'id! tenant_id!')], [], { tenant: { key: 'name' } });
    expect(hazardLines(likely)).toContain('UNEXPLAINED_TENANT_COLUMN blocks public.audit_log');
  });

  it.each([
    ['text', 'citext', 'tenant_id → public.orgs.id by foreign-key'],
    ['numeric', 'integer', 'tenant_id → public.orgs.id by foreign-key'],
    ['bigint', 'integer', 'tenant_id by foreign-key'],
  ])('asks a key of %s by way of the tenant where %s compares otherwise', (type, child, path) => {
    const made = plan(
      [table('orgs', `id:${type}!`), table('notes', `id! tenant_id:${child}!`)],
      [key('notes(tenant_id) → orgs')],
      { tenant: { table: 'public.orgs' } },
    );
    expect(pathsOf(made)).toHaveProperty(['public.notes'], path);
  });

  it('takes integer and bigint, text and varchar for the same type of tenant column', () => {
    const made = plan(
      [
        table('tenants_by_number', 'id:bigint!'),
        table('a', 'id! tenant_id:bigint!'),
        table('b', 'id! tenant_id:integer!'),
      ],
      [key('a(tenant_id) → tenants_by_number')],
      { tenant: { table: 'public.tenants_by_number' } },
    );
    expect(pathsOf(made)).toHaveProperty(['public.b'], 'tenant_id by column');
  });

  it('takes the tenant column of a composite key for a tenant column', () => {
    const made = plan(
      [agents, table('runs', 'id! tenant_id! agent_id!')],
      [agentsKey, key('runs(tenant_id, agent_id) → agents(tenant_id, id)')],
    );
    expect(pathsOf(made)).toHaveProperty(['public.runs'], 'tenant_id by column');
  });

  it('is found by the path over mandatory keys, composite ones too', () => {
    const made = plan(
      [agents, table('runs', 'id! a! b!'), table('steps', 'id! run_id!')],
      [agentsKey, key('runs(a, b) → agents(x, y)'), key('steps(run_id) → runs')],
    );
    expect(pathsOf(made)).toMatchObject({
      'public.runs': 'a, b → public.agents.tenant_id by parent',
      'public.steps': 'run_id → public.runs.a, b → public.agents.tenant_id by parent',
    });
    expect(made.hazards).toEqual([]);
  });

  it('is found by a nullable key that cascades, and rows of nobody are reported', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id')],
      [agentsKey, key('runs(agent_id) → agents', 'CASCADE')],
    );
    expect(pathsOf(made)).toHaveProperty(
      ['public.runs'],
      'agent_id → public.agents.tenant_id by parent',
    );
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.runs']);
  });

  it('prefers a longer path without NULL to a shorter one with', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id!'), table('steps', 'id! run_id! agent_id')],
      [
        agentsKey,
        key('runs(agent_id) → agents'),
        key('steps(run_id) → runs'),
        key('steps(agent_id) → agents', 'CASCADE'),
      ],
    );
    expect(pathsOf(made)['public.steps']).toMatch(/^run_id → public\.runs/);
  });

  it('prefers the shorter of two mandatory paths', () => {
    const made = plan(
      [agents, table('runs', 'id! agent_id!'), table('steps', 'id! run_id! agent_id!')],
      [
        agentsKey,
        key('runs(agent_id) → agents'),
        key('steps(run_id) → runs'),
        key('steps(agent_id) → agents'),
      ],
    );
    expect(pathsOf(made)['public.steps']).toBe('agent_id → public.agents.tenant_id by parent');
    expect(made.hazards).toEqual([]);
  });

  it('is never found by a SET NULL or SET DEFAULT key: the table is a stranger that refers', () => {
    const made = plan(
      [agents, table('logs', 'id! agent_id'), table('visits', 'id! tenant_id!')],
      [
        agentsKey,
        key('logs(agent_id) → agents', 'SET NULL'),
        key('visits(tenant_id) → tenants', 'SET DEFAULT'),
      ],
    );
    expect(Object.keys(pathsOf(made))).toEqual(['public.agents', 'public.tenants']);
    expect(hazardLines(made)).toEqual([
      'UNKNOWN_REFERENCE info public.logs',
      'UNKNOWN_REFERENCE info public.visits',
    ]);
  });

  it('is unclear over a nullable key alone: blocked, once, with what to write', () => {
    const made = plan(
      [agents, table('logs', 'id! agent_id')],
      [agentsKey, key('logs(agent_id) → agents', 'RESTRICT')],
    );
    expect(hazardLines(made)).toEqual(['OWNER_UNCLEAR blocks public.logs']);
    expect(made.hazards[0]?.remedy).toContain(
      '"foreignKeys": { "public.logs.agent_id_fkey": "own" }',
    );
  });

  it('is settled by the configuration where it was unclear', () => {
    const made = plan(
      [agents, table('logs', 'id! agent_id')],
      [agentsKey, key('logs(agent_id) → agents')],
      { tables: { 'public.logs': { ownedBy: ['agent_id'] } } },
    );
    expect(pathsOf(made)['public.logs']).toBe(
      'agent_id → public.agents.tenant_id by configuration',
    );
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.logs']);
  });

  it('is ambiguous with two foreign keys to the tenant table, until the configuration settles it', () => {
    const tables = [table('transfers', 'id! from_id! to_id!')];
    const keys = [key('transfers(from_id) → tenants'), key('transfers(to_id) → tenants')];
    const made = plan(tables, keys);
    expect(hazardLines(made)).toEqual(['OWNER_AMBIGUOUS blocks public.transfers']);
    expect(made.hazards[0]?.message).toContain('from_id; to_id');

    const settled = plan(tables, keys, {
      tables: { 'public.transfers': { ownedBy: ['to_id'] } },
    });
    expect(pathsOf(settled)['public.transfers']).toBe('to_id by configuration');
    expect(settled.hazards).toEqual([]);
  });

  it('is ambiguous with two equally long mandatory paths, through one parent or two', () => {
    const made = plan(
      [
        agents,
        table('teams', 'id! tenant_id!'),
        table('members', 'id! agent_id! team_id!'),
        table('pairs', 'id! left_id! right_id!'),
      ],
      [
        agentsKey,
        key('teams(tenant_id) → tenants'),
        key('members(agent_id) → agents'),
        key('members(team_id) → teams'),
        key('pairs(left_id) → agents'),
        key('pairs(right_id) → agents'),
      ],
    );
    expect(hazardLines(made)).toEqual([
      'OWNER_AMBIGUOUS blocks public.members',
      'OWNER_AMBIGUOUS blocks public.pairs',
    ]);
  });

  it('is not ambiguous where the table has a tenant column of its own', () => {
    const made = plan(
      [agents, table('pairs', 'id! tenant_id! left_id! right_id!')],
      [
        agentsKey,
        key('pairs(tenant_id) → tenants'),
        key('pairs(left_id) → agents'),
        key('pairs(right_id) → agents'),
      ],
    );
    expect(made.hazards).toEqual([]);
  });

  it('is not ambiguous where one key to the tenant is mandatory and the other is not', () => {
    const made = plan(
      [table('accounts', 'id! tenant_id! referrer_id')],
      [key('accounts(tenant_id) → tenants'), key('accounts(referrer_id) → tenants')],
    );
    expect(pathsOf(made)['public.accounts']).toBe('tenant_id by foreign-key');
    expect(made.hazards).toEqual([]);
  });

  it('is nobody where the configuration keeps the table; a reference into the plan then asks', () => {
    const made = plan(
      [agents, table('logs', 'id! tenant_id! agent_id')],
      [agentsKey, key('logs(agent_id) → agents', 'SET NULL')],
      { tables: { 'public.logs': { onPurge: 'keep' } } },
    );
    expect(pathsOf(made)).not.toHaveProperty(['public.logs']);
    expect(hazardLines(made)).toEqual(['UNKNOWN_REFERENCE info public.logs']);
  });

  it('is unexplained where a column is called as tenant columns are and has another type', () => {
    const made = plan([agents, table('logs', 'id! tenant_id:text!')], [agentsKey]);
    expect(hazardLines(made)).toEqual(['UNEXPLAINED_TENANT_COLUMN blocks public.logs']);
  });

  it('is unexplained where such a column leads to a table of nobody', () => {
    const made = plan(
      [agents, table('realms', 'id!'), table('logs', 'id! tenant_id!')],
      [agentsKey, key('logs(tenant_id) → realms')],
    );
    expect(hazardLines(made)).toEqual(['UNEXPLAINED_TENANT_COLUMN blocks public.logs']);
  });

  it('blocks where the configured column cannot be compared with the key', () => {
    const made = plan([table('logs', 'id! owner:text!')], [], {
      tables: { 'public.logs': { ownedBy: ['owner'] } },
    });
    expect(hazardLines(made)).toEqual(['UNEXPLAINED_TENANT_COLUMN blocks public.logs']);
  });

  it('blocks where the configured key leads to a table of nobody', () => {
    const made = plan(
      [table('realms', 'id!'), table('logs', 'id! realm_id!')],
      [key('logs(realm_id) → realms')],
      { tables: { 'public.logs': { ownedBy: ['realm_id'] } } },
    );
    expect(hazardLines(made)).toEqual(['OWNER_UNCLEAR blocks public.logs']);
  });

  it('blocks where the configuration wants a table purged that nothing ties to a tenant', () => {
    const made = plan([table('plans', 'id!'), table('logs', 'id!')], [], {
      core: ['public.plans'],
      tables: { 'public.logs': { onPurge: 'delete' } },
    });
    expect(hazardLines(made)).toEqual([
      'OWNER_UNCLEAR blocks public.logs',
      'OWNER_UNCLEAR blocks public.plans',
    ]);
  });
});

describe('the owners of a polymorphic table', () => {
  const runs = table('runs', 'id! agent_id!');
  const runsKey = key('runs(agent_id) → agents');
  const polymorphic = (columns: string, ownedBy: TableRule['ownedBy'] & {}, more = [runsKey]) =>
    plan([agents, runs, table('events', columns)], [agentsKey, ...more], {
      tables: { 'public.events': { ownedBy } },
    });

  it('are found by the column that holds their key, where other columns say so', () => {
    const made = polymorphic('id! kind:text! owner_id!', [
      { column: 'owner_id', when: { kind: 'tenant' } },
      { column: 'owner_id', when: { kind: 'agent' }, to: 'public.agents' },
      { column: 'owner_id', when: { kind: 'run' }, to: 'public.runs' },
    ]);
    expect(pathsOf(made)['public.events']).toBe(
      'owner_id where kind = tenant; else ' +
        'owner_id where kind = agent → public.agents.tenant_id; else ' +
        'owner_id where kind = run → public.runs.agent_id → public.agents.tenant_id ' +
        'by configuration, configuration, configuration',
    );
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.events']);
    expect(deleteSteps(made).map((step) => step.table)).toEqual([
      'public.events',
      'public.runs',
      'public.agents',
      'public.tenants',
    ]);
  });

  it('may be of a textual column, since the guard says what it holds', () => {
    const made = polymorphic('id! kind:text! owner:text!', [
      { column: 'owner', when: { kind: 'tenant' } },
    ]);
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.events']);
  });

  it('are those of a foreign key where the guarded column has one', () => {
    const made = polymorphic(
      'id! kind:text! agent_id',
      [{ column: 'agent_id', when: { kind: 'agent' } }],
      [runsKey, key('events(agent_id) → agents')],
    );
    expect(pathsOf(made)['public.events']).toBe(
      'agent_id where kind = agent → public.agents.tenant_id by configuration',
    );
  });

  it('go in the order given, where several columns are no key together', () => {
    const made = polymorphic('id! a b', ['a', 'b']);
    expect(pathsOf(made)['public.events']).toBe('a; else b by configuration, configuration');
    const mixed = polymorphic(
      'id! agent_id tenant_id',
      ['agent_id', 'tenant_id'],
      [runsKey, key('events(agent_id) → agents')],
    );
    expect(pathsOf(mixed)['public.events']).toBe(
      'agent_id → public.agents.tenant_id; else tenant_id by configuration, configuration',
    );
  });

  it('block where one of several columns cannot be compared with the key', () => {
    const made = polymorphic('id! a b:text', ['a', 'b']);
    expect(hazardLines(made)).toContain('UNEXPLAINED_TENANT_COLUMN blocks public.events');
  });

  it('block where the column cannot hold the key of the table that it is said to name', () => {
    const ownedBy = [{ column: 'owner_id', when: { kind: 'Run' }, to: 'public.runs' }];
    const made = polymorphic('id! kind:text owner_id:text', ownedBy);
    const [hazard] = made.hazards;
    expect(hazardLines(made)[0]).toBe('UNEXPLAINED_TENANT_COLUMN blocks public.events');
    expect(hazard?.message).toContain('has the type text, and their key uuid');
    expect(hazard?.remedy).toContain("kind = 'Run' and owner_id::text in (select");
    for (const type of ['uuid', 'uuid!']) {
      const fit = polymorphic(`id! kind:text owner_id:${type}`, ownedBy);
      expect(hazardLines(fit)).not.toContain('UNEXPLAINED_TENANT_COLUMN blocks public.events');
    }
  });

  it('are refused at a table that has no key of one column', () => {
    const pairs = table('pairs', 'a! b!', { primaryKey: ['a', 'b'] });
    expect(() =>
      plan([pairs, table('events', 'id! x kind:text')], [], {
        tables: {
          'public.events': { ownedBy: [{ column: 'x', when: { kind: 'p' }, to: 'public.pairs' }] },
        },
      }),
    ).toThrow(/no primary key of one column that x could hold/);
  });
});

describe('the ways of a table', () => {
  it('follow each other until one has a value in every row', () => {
    const made = plan(
      [agents, table('runs', 'id! tenant_id agent_id! old_id!')],
      [
        agentsKey,
        key('runs(tenant_id) → tenants'),
        key('runs(agent_id) → agents'),
        key('runs(old_id) → agents'),
      ],
    );
    expect(pathsOf(made)['public.runs']).toBe(
      'tenant_id; else agent_id → public.agents.tenant_id by foreign-key, parent',
    );
    expect(made.hazards).toEqual([]);
  });

  it('never lead through a table that is itself explained by this one', () => {
    const made = plan(
      [table('a', 'id! tenant_id b_id'), table('b', 'id! a_id!')],
      [key('a(tenant_id) → tenants'), key('a(b_id) → b', 'CASCADE'), key('b(a_id) → a')],
    );
    expect(pathsOf(made)).toMatchObject({
      'public.a': 'tenant_id by foreign-key',
      'public.b': 'a_id → public.a.tenant_id by parent',
    });
    expect(hazardLines(made)).toEqual([
      'TENANT_ROWS_OF_NOBODY info public.a',
      'TENANT_ROWS_OF_NOBODY info public.b',
    ]);
  });

  it('leave no row to nobody where the table that they lead to has another way for it', () => {
    const made = plan(
      [agents, table('runs', 'id! tenant_id agent_id!'), table('steps', 'id! run_id!')],
      [
        agentsKey,
        key('runs(tenant_id) → tenants'),
        key('runs(agent_id) → agents'),
        key('steps(run_id) → runs'),
      ],
    );
    expect(made.hazards).toEqual([]);
  });

  it('end at the own column of a row that carries the mandatory tenant column of its parent', () => {
    const made = plan(
      [agents, table('runs', 'id! owner! agent_id!')],
      [agentsKey, key('runs(owner, agent_id) → agents(tenant_id, id)')],
    );
    expect(pathsOf(made)['public.runs']).toBe('owner by parent');
  });

  it('are SQL of the operator, where the configuration has some', () => {
    const made = plan([agents, table('files', 'id! path:text!')], [agentsKey], {
      tables: { 'public.files': { where: "path like {tenantId} || '/%'" } },
    });
    expect(pathsOf(made)['public.files']).toBe("path like {tenantId} || '/%' by configuration");
    expect(hazardLines(made)).toEqual(['OPERATOR_CONDITION info public.files']);
  });
});
