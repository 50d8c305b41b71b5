import { describe, expect, it } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { deleteSteps, describePath, type Plan } from '../../../src/domain/plan.ts';
import type { ForeignKeyRule } from '../../../src/planner/rules.ts';
import { hazardLines, key, levelLines, pathsOf, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id!');
const agentsKey = key('agents(tenant_id) → tenants');
const notes = table('notes', 'id! tenant_id! agent_id');
const notesKeys = [key('notes(tenant_id) → tenants'), key('notes(agent_id) → agents')];
const logs = table('logs', 'id! agent_id');
const logsKey = key('logs(agent_id) → agents');
const LOGS = 'public.logs.agent_id_fkey';

const withLogs = (rule: ForeignKeyRule, more: Parameters<typeof plan>[2] = {}): Plan =>
  plan([agents, logs], [agentsKey, logsKey], { foreignKeys: { [LOGS]: rule }, ...more });

const checkOf = (made: Plan, foreignKey: string) =>
  made.references.find((check) => check.foreignKey === foreignKey);

const refusalOf = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    if (error instanceof PurgeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('the rules were accepted');
};

describe('the rule for a foreign key', () => {
  it('"own" makes the rows the tenant\'s, and those without a value are reported', () => {
    const made = withLogs('own');
    expect(pathsOf(made)['public.logs']).toBe(
      'agent_id → public.agents.tenant_id by configuration',
    );
    expect(hazardLines(made)).toEqual(['TENANT_ROWS_OF_NOBODY info public.logs']);
    expect(checkOf(made, LOGS)).toMatchObject({ rule: 'refuse', isRuled: false });
  });

  it('"own" makes even a SET NULL key own, and comes before a tenant column', () => {
    const made = plan(
      [agents, notes],
      [agentsKey, key('notes(tenant_id) → tenants'), key('notes(agent_id) → agents', 'SET NULL')],
      { foreignKeys: { 'public.notes.agent_id_fkey': 'own' } },
    );
    expect(pathsOf(made)['public.notes']).toBe(
      'agent_id → public.agents.tenant_id; else tenant_id by configuration, foreign-key',
    );
  });

  it('"own" blocks where the table that the key leads to belongs to no tenant', () => {
    const made = plan(
      [table('realms', 'id!'), table('x', 'id! realm_id!')],
      [key('x(realm_id) → realms')],
      { foreignKeys: { 'public.x.realm_id_fkey': 'own' } },
    );
    expect(hazardLines(made)).toEqual(['OWNER_UNCLEAR blocks public.x']);
  });

  it('"set-null" clears the references of others when the tenant\'s own rows are gone', () => {
    const made = withLogs('set-null');
    expect(levelLines(made)).toEqual([
      'dependents 1: logs.agent_id=NULL agents',
      'tenant: tenants',
    ]);
    const [step] = made.levels[0]?.steps ?? [];
    expect(step).toMatchObject({ kind: 'clear', reason: 'rule', foreignKey: LOGS });
    expect(step?.kind === 'clear' && describePath(step.path)).toBe(
      'agent_id → public.agents.tenant_id',
    );
    expect(checkOf(made, LOGS)).toMatchObject({
      rule: 'set-null',
      isRuled: true,
      clearColumns: ['agent_id'],
      childPath: null,
      childDeleted: false,
    });
    expect(made.hazards).toEqual([]);
  });

  it('"set-null" comes after the tenant\'s own rows of the same table', () => {
    const made = plan([agents, notes], [agentsKey, ...notesKeys], {
      foreignKeys: { 'public.notes.agent_id_fkey': 'set-null' },
    });
    expect(levelLines(made)).toEqual([
      'dependents 1: notes',
      'dependents 2: notes.agent_id=NULL agents',
      'tenant: tenants',
    ]);
  });

  it('"set-null" clears only the columns that ON DELETE SET NULL names, where it names some', () => {
    const runs = table('runs', 'id! region agent_id');
    const made = plan(
      [agents, runs],
      [
        agentsKey,
        key('runs(region, agent_id) → agents(tenant_id, id)', 'SET NULL', {
          setColumns: ['agent_id'],
        }),
      ],
      { foreignKeys: { 'public.runs.region_agent_id_fkey': 'set-null' } },
    );
    expect(levelLines(made)[0]).toBe('dependents 1: runs.agent_id=NULL agents');
  });

  it('"set-null" blocks over columns that are NOT NULL, and only informs where others hold them', () => {
    const set = { foreignKeys: { 'public.x.a_fkey': 'set-null' as const } };
    const x = table('x', 'id! a!');
    const blocked = plan([agents, x], [agentsKey, key('x(a) → agents')], set);
    expect(hazardLines(blocked)).toEqual(['SET_NULL_OVER_NOT_NULL blocks public.x']);
    expect(blocked.references.find(({ child }) => child === x.name)?.rule).toBe('refuse');
    const referred = plan(
      [agents, table('x', 'id! a'), table('y', 'id! x_a')],
      [agentsKey, key('x(a) → agents'), key('y(x_a) → x(a)')],
      set,
    );
    expect(hazardLines(referred)).toEqual(['SET_NULL_OVER_NOT_NULL info public.x']);
    expect(checkOf(referred, 'public.x.a_fkey')?.rule).toBe('refuse');
  });

  it('"delete" takes the rows of others along, as a table of nobody\'s', () => {
    const made = withLogs('delete');
    expect(levelLines(made)).toEqual([
      'dependents 1: logs',
      'dependents 2: agents',
      'tenant: tenants',
    ]);
    const [step] = deleteSteps(made);
    expect(step?.path.ways).toEqual([]);
    expect(step?.also.map(describePath)).toEqual(['agent_id → public.agents.tenant_id']);
    expect(checkOf(made, LOGS)).toMatchObject({ rule: 'delete', childDeleted: true });
    expect(made.hazards).toEqual([]);
  });

  it('"delete" adds to the tenant\'s own rows of a table that has some', () => {
    const made = plan([agents, notes], [agentsKey, ...notesKeys], {
      foreignKeys: { 'public.notes.agent_id_fkey': 'delete' },
    });
    const [step] = deleteSteps(made);
    expect(describePath(step?.path ?? { table: notes.name, partitioned: false, ways: [] })).toBe(
      'tenant_id',
    );
    expect(step?.also.map(describePath)).toEqual(['agent_id → public.agents.tenant_id']);
  });

  it('"delete" refuses what refers to such a row, whatever the rule for that says', () => {
    const made = plan(
      [agents, logs, table('lines', 'id! log_id')],
      [agentsKey, logsKey, key('lines(log_id) → logs')],
      { foreignKeys: { [LOGS]: 'delete', 'public.lines.log_id_fkey': 'set-null' } },
    );
    expect(levelLines(made).join()).not.toContain('lines');
    expect(checkOf(made, 'public.lines.log_id_fkey')).toMatchObject({
      rule: 'refuse',
      parent: { ways: [] },
      parentAlso: [{ table: 'public.logs' }],
    });
  });

  it('"delete" keeps the order: a circle back to it is cleared on the other side', () => {
    const made = plan(
      [table('agents', 'id! tenant_id! last_id'), table('logs', 'id! agent_id')],
      [agentsKey, logsKey, key('agents(last_id) → logs')],
      { foreignKeys: { [LOGS]: 'delete' } },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: agents.last_id=NULL',
      'dependents 2: logs',
      'dependents 3: agents',
      'tenant: tenants',
    ]);
  });

  it('"refuse" says that the operator knows, and that the table is nobody\'s', () => {
    const made = withLogs('refuse');
    expect(made.hazards).toEqual([]);
    expect(levelLines(made)).toEqual(['dependents 1: agents', 'tenant: tenants']);
    expect(checkOf(made, LOGS)).toMatchObject({ rule: 'refuse', isRuled: true });
  });

  it('finds a key by its bare words where ours has quotes', () => {
    const name = 'public.logs."agentId_fkey"';
    const made = plan([agents, logs], [agentsKey, { ...logsKey, name }], {
      foreignKeys: { 'public.logs.agentId_fkey': 'refuse' },
    });
    expect(checkOf(made, name)?.isRuled).toBe(true);
  });

  it('names the nearest key where there is none of that name', () => {
    const rules = { foreignKeys: { 'public.logs.agent_fkey': 'own' as const } };
    expect(refusalOf(() => plan([agents, logs], [agentsKey, logsKey], rules))).toBe(
      `CONFIG_INVALID: foreignKeys: there is no foreign key public.logs.agent_fkey in the database; it is written as schema.table.constraint. Did you mean ${LOGS}?`,
    );
  });

  it.each<[ForeignKeyRule, NonNullable<Parameters<typeof plan>[2]>, RegExp]>([
    ['refuse', { tables: { 'public.logs': { ownedBy: ['agent_id'] } } }, /agent_id owns the rows/],
    ['own', { tables: { 'public.logs': { onPurge: 'keep' } } }, /"own", but "tables" keeps/],
    ['delete', { tables: { 'public.logs': { onPurge: 'keep' } } }, /"delete", but "tables" keeps/],
    ['delete', { tables: { 'public.logs': { onPurge: 'set-null' } } }, /"delete", but "tables"/],
    ['own', { follow: ['public.logs.agent_id'] }, /"foreignKeys" says own: take one away/],
  ])('"%s" is refused where other rules contradict it: %j', (rule, more, message) => {
    expect(refusalOf(() => withLogs(rule, more))).toMatch(message);
  });

  it.each<ForeignKeyRule>(['own', 'delete'])(
    '"%s" is refused for rows that are tenants',
    (rule) => {
      const owner = key('orgs(owner_id) → users');
      const made = (): Plan =>
        plan([table('orgs', 'id! owner_id'), table('users', 'id! org_id!')], [owner], {
          tenant: { table: 'public.orgs', columns: ['org_id'] },
          foreignKeys: { [owner.name]: rule },
        });
      expect(refusalOf(made)).toContain('each of them is a tenant');
    },
  );

  it.each<ForeignKeyRule>(['own', 'delete', 'set-null'])(
    '"%s" is refused for a key that matches by ranges',
    (rule) => {
      const made = (): Plan =>
        plan([agents, logs], [agentsKey, { ...logsKey, period: true }], {
          foreignKeys: { [LOGS]: rule },
        });
      expect(refusalOf(made)).toContain('PERIOD');
    },
  );
});

describe('an unusual foreign key', () => {
  const runs = table('runs', 'id! agent_id!');
  const withKey = (more: Parameters<typeof key>[2], child = runs): Plan =>
    plan([agents, child], [agentsKey, key('runs(agent_id) → agents', 'CASCADE', more)]);

  it.each([
    ['matches by ranges', { period: true }],
    ['stands on one partition', { childPartition: agents.name }],
  ])('that %s never owns by itself', (_what, more) => {
    expect(hazardLines(withKey(more))).toContain('OWNER_UNCLEAR blocks public.runs');
  });

  it('that is not enforced may own, but orders, acts and checks nothing', () => {
    const made = withKey({ enforced: false });
    expect(pathsOf(made)['public.runs']).toBe('agent_id → public.agents.tenant_id by parent');
    expect(deleteSteps(made).flatMap((step) => step.actingKeys)).toEqual([]);
    expect(made.references.map((check) => check.foreignKey)).toEqual([agentsKey.name]);
    const circle = plan(
      [table('agents', 'id! tenant_id! run_id!'), table('runs', 'id! tenant_id! agent_id!')],
      [
        agentsKey,
        key('runs(tenant_id) → tenants'),
        key('runs(agent_id) → agents', 'NO ACTION', { enforced: false }),
        key('agents(run_id) → runs'),
      ],
    );
    expect(levelLines(circle)).toEqual([
      'dependents 1: agents',
      'dependents 2: runs',
      'tenant: tenants',
    ]);
  });

  it('that refers to one partition owns by the rows of that partition', () => {
    const made = withKey({ parentPartition: logs.name });
    expect(pathsOf(made)['public.runs']).toBe('agent_id → public.logs.tenant_id by parent');
  });

  const remedyOf = (made: Plan, type: string): string =>
    made.hazards.find((hazard) => hazard.type === type)?.remedy ?? '';

  it.each([
    ['matches by ranges', { period: true }, '"where"'],
    ['stands on one partition', { childPartition: agents.name }, '"ownedBy": ["agent_id"]'],
  ])('that %s is settled by what the configuration may say, not by a rule', (_what, more, rule) => {
    const made = withKey(more);
    expect(remedyOf(made, 'OWNER_UNCLEAR')).toContain(rule);
    expect(remedyOf(made, 'OWNER_UNCLEAR')).not.toContain('foreignKeys');
    expect(made.hazards.find(({ type }) => type === 'OWNER_UNCLEAR')?.message).not.toContain(
      'may be NULL',
    );
    const kept = plan(
      [agents, runs],
      [agentsKey, key('runs(agent_id) → agents', 'CASCADE', more)],
      {
        tables: { 'public.runs': { onPurge: 'keep' } },
      },
    );
    expect(remedyOf(kept, 'UNKNOWN_REFERENCE')).toContain('by hand');
    expect(remedyOf(kept, 'UNKNOWN_REFERENCE')).not.toContain('foreignKeys');
  });

  it.each<ForeignKeyRule>(['set-null', 'delete'])(
    'that is not enforced takes no rule "%s": nobody looks for its rows',
    (rule) => {
      const made = (): Plan =>
        plan([agents, logs], [agentsKey, { ...logsKey, enforced: false }], {
          foreignKeys: { [LOGS]: rule },
        });
      expect(refusalOf(made)).toContain('NOT ENFORCED');
    },
  );

  it('of a kept table is offered no rule that its being kept contradicts', () => {
    const kept = { tables: { 'public.logs': { onPurge: 'keep' } } } as const;
    const clearable = remedyOf(
      plan([agents, logs], [agentsKey, logsKey], kept),
      'UNKNOWN_REFERENCE',
    );
    expect(clearable).toContain('"set-null"');
    expect(clearable).not.toMatch(/"delete"|"own"/);
    const held = plan([agents, table('logs', 'id! agent_id!')], [agentsKey, logsKey], kept);
    expect(remedyOf(held, 'UNKNOWN_REFERENCE')).not.toMatch(/"delete"|"own"|"set-null"/);
  });

  it('loses all columns of MATCH FULL, whichever ON DELETE SET NULL names', () => {
    const pairs = table('agents', 'id! tenant_id! code!');
    const made = plan(
      [pairs, table('logs', 'id! agent_id code')],
      [
        agentsKey,
        key('logs(agent_id, code) → agents(id, code)', 'SET NULL', {
          matchFull: true,
          setColumns: ['agent_id'],
        }),
      ],
      { foreignKeys: { 'public.logs.agent_id_code_fkey': 'set-null' } },
    );
    expect(levelLines(made).join(' ')).toContain('logs.agent_id,code=NULL');
  });
});
