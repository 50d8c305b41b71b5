import { describe, expect, it } from 'vitest';
import type { CatalogueForeignKey, CatalogueTable } from '../../../src/planner/catalogue.ts';
import { planAsJson } from '../../../src/planner/explain/explain.ts';
import { explainDrift } from '../../../src/planner/explain/fingerprint.ts';
import { key, plan, table } from '../../support/catalogue.ts';

const agents = table('agents', 'id! tenant_id! boss_id');
const keys = [key('agents(tenant_id) → tenants'), key('agents(boss_id) → agents')];
const before = plan([agents], keys);
const after = (
  tables: readonly CatalogueTable[],
  foreignKeys: readonly CatalogueForeignKey[] = keys,
  more: Parameters<typeof plan>[2] = {},
) => plan(tables, foreignKeys, more);

describe('the fingerprint of a plan', () => {
  it('is the SHA-256 of its facts, which are sorted sentences', () => {
    expect(before.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(before.facts).toEqual([
      'key public.agents.boss_id_fkey: public.agents(boss_id) → public.agents(id) ON DELETE NO ACTION',
      'key public.agents.tenant_id_fkey: public.agents(tenant_id) → public.tenants(id) ON DELETE NO ACTION',
      'public.agents: level dependents 1 clears boss_id of public.agents.boss_id_fkey (self)',
      'public.agents: level dependents 2',
      'public.agents: path tenant_id by foreign-key',
      'public.tenants: level tenant',
      'public.tenants: path id by tenant',
      'public.tenants: tenants by id of type uuid',
    ]);
  });

  it('stays for a new index, other row counts and a new table that nothing ties to a tenant', () => {
    const index = { name: 'new', columns: ['boss_id', 'id'], unique: true, usable: true };
    const made = after(
      [
        { ...agents, estimatedRows: 1e9, indexes: [index], missingPrivileges: ['UPDATE'] },
        table('plans', 'id! code:text'),
        table('prices', 'id! plan_id!'),
      ],
      [...keys, key('prices(plan_id) → plans', 'CASCADE')],
    );
    expect(made.fingerprint).toBe(before.fingerprint);
    expect(explainDrift(before.facts, made.facts)).toEqual([]);
  });

  it('changes with a new table of tenants, and the drift names it', () => {
    const made = after([agents, table('logs', 'id! tenant_id!')]);
    expect(made.fingerprint).not.toBe(before.fingerprint);
    expect(explainDrift(before.facts, made.facts)).toEqual([
      '+ public.logs: level dependents 2',
      '+ public.logs: path tenant_id by column',
    ]);
  });

  it('changes with a key from outside, a trigger, a rule, row security and an action', () => {
    const drift = (...to: Parameters<typeof after>) =>
      explainDrift(before.facts, after(...to).facts);
    expect(
      drift([agents, table('x', 'id! a')], [...keys, key('x(a) → agents', 'SET NULL')]),
    ).toEqual(['+ key public.x.a_fkey: public.x(a) → public.agents(id) ON DELETE SET NULL']);
    const trigger = { name: 't', timing: 'after', forEachRow: true, events: ['delete'] } as const;
    expect(drift([{ ...agents, triggers: [trigger] }])).toEqual([
      '+ public.agents: trigger t after delete each row',
    ]);
    expect(drift([{ ...agents, rules: ['r'], rowSecurityApplies: true }])).toEqual([
      '+ public.agents: row security applies',
      '+ public.agents: rule r',
    ]);
    expect(drift([agents], [key('agents(tenant_id) → tenants', 'CASCADE')])).toContain(
      '- key public.agents.boss_id_fkey: public.agents(boss_id) → public.agents(id) ON DELETE NO ACTION',
    );
  });

  it.each<[string, Parameters<typeof plan>[2] & {}]>([
    ['a rule for a key', { foreignKeys: { 'public.x.a_fkey': 'refuse' } }],
    ['a rule that clears', { foreignKeys: { 'public.x.a_fkey': 'set-null' } }],
    ['a rule that deletes', { foreignKeys: { 'public.x.a_fkey': 'delete' } }],
    ['a rule that owns', { foreignKeys: { 'public.x.a_fkey': 'own' } }],
    ['a condition', { tables: { 'public.x': { where: 'a = {tenantId}' } } }],
    ['a kept table', { tables: { 'public.x': { onPurge: 'keep' } } }],
    ['another owner', { tables: { 'public.agents': { ownedBy: ['boss_id', 'tenant_id'] } } }],
    ['a core table', { core: ['public.agents'] }],
    ['a followed parent', { follow: ['public.agents.plan_id'] }],
    [
      'an update',
      { tables: { 'public.x': { ownedBy: ['a'], onPurge: 'update', set: { b: '1' } } } },
    ],
  ])('changes with %s', (_what, more) => {
    const tables = [
      table('agents', 'id! tenant_id! boss_id plan_id'),
      table('plans', 'id!'),
      table('x', 'id! a b:text'),
    ];
    const foreignKeys = [...keys, key('agents(plan_id) → plans'), key('x(a) → agents', 'SET NULL')];
    const [plain, ruled] = [after(tables, foreignKeys), after(tables, foreignKeys, more)];
    expect(ruled.fingerprint).not.toBe(plain.fingerprint);
    expect(after(tables, foreignKeys, more).fingerprint).toBe(ruled.fingerprint);
  });

  it.each<[string, (found: CatalogueForeignKey) => CatalogueForeignKey]>([
    ['its action', (found) => ({ ...found, onDelete: 'CASCADE' })],
    [
      'the columns it sets',
      (found) => ({ ...found, onDelete: 'SET NULL', setColumns: ['boss_id'] }),
    ],
    ['its being enforced', (found) => ({ ...found, enforced: false })],
    ['its partition', (found) => ({ ...found, childPartition: agents.name })],
  ])('changes with a key, by %s', (_what, change) => {
    const [first, second] = keys;
    if (first === undefined || second === undefined) throw new Error('two keys');
    expect(after([agents], [first, change(second)]).fingerprint).not.toBe(before.fingerprint);
  });

  it('changes where a circle goes in another way', () => {
    const circle = (deferrable: boolean) =>
      after(
        [table('a', 'id! tenant_id! b_id!'), table('b', 'id! tenant_id! a_id!')],
        [
          key('a(tenant_id) → tenants'),
          key('b(tenant_id) → tenants'),
          key('a(b_id) → b', 'NO ACTION', { deferrable }),
          key('b(a_id) → a'),
        ],
      );
    expect(explainDrift(circle(true).facts, circle(false).facts)).toEqual([
      '- public.a: one transaction with public.b, public.a',
      '+ public.a: one statement with public.a, public.b',
    ]);
  });

  it('changes with the type of the tenant key', () => {
    const made = (type: string) =>
      after([table('orgs', `id:${type}!`)], [], { tenant: { table: 'public.orgs' } });
    expect(made('integer').fingerprint).not.toBe(made('bigint').fingerprint);
  });
});

describe('a plan as JSON', () => {
  it('has levels with tables, paths, counted rows and what is cleared', () => {
    const document = planAsJson(before, new Map([['public.agents', 7]]));
    expect(document).toEqual({
      fingerprint: before.fingerprint,
      tenant: before.tenant,
      levels: [
        {
          name: 'dependents 1',
          clears: [
            {
              table: 'public.agents',
              foreignKey: 'public.agents.boss_id_fkey',
              columns: ['boss_id'],
              reason: 'self',
              path: 'tenant_id',
            },
          ],
          tables: [],
        },
        {
          name: 'dependents 2',
          tables: [{ table: 'public.agents', path: 'tenant_id', estimatedRows: 0, rows: 7 }],
        },
        { name: 'tenant', tables: [{ table: 'public.tenants', path: 'id', estimatedRows: 0 }] },
      ],
      hazards: [],
    });
  });
});
