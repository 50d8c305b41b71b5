import { describe, expect, it } from 'vitest';
import { deleteSteps } from '../../../src/domain/plan.ts';
import type { CatalogueForeignKey } from '../../../src/planner/catalogue.ts';
import { hazardLines, key, levelLines, plan, table } from '../../support/catalogue.ts';

const own = (relation: string, columns = '') => ({
  table: table(relation, `id! tenant_id! ${columns}`.trim(), { estimatedRows: 10 }),
  key: key(`${relation}(tenant_id) → tenants`),
});
const deferrable = { deferrable: true };

const planOf = (
  owned: readonly ReturnType<typeof own>[],
  keys: readonly CatalogueForeignKey[],
  more: Parameters<typeof plan>[2] = {},
) =>
  plan(
    owned.map((one) => one.table),
    [...owned.map((one) => one.key), ...keys],
    more,
  );

describe('tables in a circle', () => {
  const pair = [own('a', 'b_id!'), own('b', 'a_id!')];

  it('go in one statement with leave, before what they refer to and after what refers to them', () => {
    const made = planOf(
      [...pair, own('c', 'a_id!'), own('d')],
      [key('a(b_id) → b'), key('b(a_id) → a'), key('c(a_id) → a'), key('b(id) → d')],
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: c',
      'dependents 2: one-statement(a b)',
      'dependents 3: d',
      'tenant: tenants',
    ]);
    expect(hazardLines(made)).toEqual(['CYCLE_IN_ONE_STATEMENT allow public.a']);
    expect(made.hazards[0]?.message).toContain('about 20 rows');
    expect(deleteSteps(made).map((step) => step.table)).toContain('public.b');
  });

  it('go with deferred keys where these suffice, the children of the others first', () => {
    const made = planOf(pair, [key('a(b_id) → b', 'NO ACTION', deferrable), key('b(a_id) → a')]);
    expect(levelLines(made)).toEqual(['dependents 1: deferred(b a)', 'tenant: tenants']);
    expect(hazardLines(made)).toEqual(['CYCLE_DEFERRED info public.a']);
    expect(made.levels[0]?.steps[0]).toMatchObject({ deferredKeys: ['public.a.b_id_fkey'] });
  });

  it.each(['RESTRICT', 'CASCADE'] as const)('cannot defer the action %s', (action) => {
    const made = planOf(pair, [key('a(b_id) → b', action, deferrable), key('b(a_id) → a')]);
    expect(levelLines(made)[0]).toBe('dependents 1: one-statement(a b)');
  });

  it('are emptied while the rows by which theirs are found are there, deferred or not', () => {
    const made = plan(
      [table('a', 'id! tenant_id! b_id!'), table('b', 'id! a_id!')],
      [
        key('a(tenant_id) → tenants'),
        key('a(b_id) → b', 'NO ACTION', deferrable),
        key('b(a_id) → a', 'NO ACTION', deferrable),
      ],
    );
    expect(levelLines(made)).toEqual(['dependents 1: deferred(b a)', 'tenant: tenants']);
    expect(made.levels[0]?.steps[0]).toMatchObject({ deferredKeys: ['public.a.b_id_fkey'] });
  });

  it('may hold the tenant row, which then goes with them', () => {
    const made = plan(
      [
        table('orgs', 'id! owner_id!'),
        table('users', 'id! org_id! team_id'),
        table('teams', 'id! org_id! lead_id!'),
        table('posts', 'id! user_id!'),
      ],
      [
        key('orgs(owner_id) → users', 'NO ACTION', deferrable),
        key('users(org_id) → orgs'),
        key('users(team_id) → teams'),
        key('teams(org_id) → orgs'),
        key('teams(lead_id) → users'),
        key('posts(user_id) → users'),
      ],
      { tenant: { table: 'public.orgs' } },
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: users.team_id=NULL',
      'dependents 2: posts teams',
      'tenant: deferred(users orgs)',
    ]);
    expect(hazardLines(made)).toEqual(['CYCLE_DEFERRED info public.orgs']);
  });

  it('count as one where another circle through them can be opened', () => {
    const made = planOf(
      [...pair, own('c', 'a_id!')],
      [key('a(b_id) → b'), key('b(a_id) → a'), key('c(a_id) → a'), key('b(tenant_id, c_id) → c')],
    );
    expect(levelLines(made)[0]).toBe('dependents 1: one-statement(a b c)');
    const opened = planOf(
      [own('a', 'b_id!'), own('b', 'a_id! c_id'), own('c', 'a_id!')],
      [key('a(b_id) → b'), key('b(a_id) → a'), key('c(a_id) → a'), key('b(c_id) → c')],
    );
    expect(levelLines(opened)).toEqual([
      'dependents 1: b.c_id=NULL',
      'dependents 2: c',
      'dependents 3: one-statement(a b)',
      'tenant: tenants',
    ]);
  });
});

describe('a table that refers to itself', () => {
  it('goes in one statement where rows of others go with it: only the own ones would be cleared', () => {
    const posts = own('posts', 'author_id parent_id');
    const keys = [key('posts(parent_id) → posts'), key('posts(author_id) → a', 'SET NULL')];
    const levels = (foreignKeys: Record<string, 'delete'>) =>
      levelLines(planOf([own('a'), posts], keys, { foreignKeys }));
    expect(levels({})).toContain('dependents 2: posts');
    expect(levels({ 'public.posts.author_id_fkey': 'delete' })).toContain(
      'dependents 1: one-statement(posts)',
    );
  });
});

describe('columns in which rows without a value collide', () => {
  const alike = { name: 'one_root', columns: ['tenant_id'], unique: true, usable: false };
  const nodes = table('nodes', 'id! tenant_id! parent_id', {
    indexes: [{ ...alike, nullsCollide: ['parent_id'] }],
  });
  const nodesKey = key('nodes(tenant_id) → tenants');
  const parentKey = key('nodes(parent_id) → nodes');

  it('are never cleared to break a table’s references to itself: it goes in one statement', () => {
    const made = plan([nodes], [nodesKey, parentKey]);
    expect(levelLines(made)).toEqual(['dependents 1: one-statement(nodes)', 'tenant: tenants']);
    expect(made.hazards[0]).toMatchObject({ type: 'CYCLE_IN_ONE_STATEMENT', severity: 'allow' });
    expect(made.hazards[0]?.message).toContain('could collide in one_root');
    const other = plan(
      [{ ...nodes, indexes: [{ ...alike, nullsCollide: ['name'] }] }],
      [nodesKey, parentKey],
    );
    expect(levelLines(other)[0]).toBe('dependents 1: nodes.parent_id=NULL');
  });

  it('are cleared in rows of others by a rule, once that is accepted', () => {
    const made = plan(
      [
        own('agents').table,
        table('notes', 'id! agent_id', { indexes: [{ ...alike, nullsCollide: ['agent_id'] }] }),
      ],
      [own('agents').key, key('notes(agent_id) → agents')],
      { foreignKeys: { 'public.notes.agent_id_fkey': 'set-null' } },
    );
    expect(hazardLines(made)).toEqual(['CLEAR_BREAKS_CHECK allow public.notes']);
    expect(made.hazards[0]?.message).toContain('the unique index one_root (23505)');
  });
});

const name = (n: number): string => `t${String(n).padStart(4, '0')}`;

/** Cubic steps took half a minute for 2,000 tables: the test's own limit of time is the assertion. */
describe('thousands of tables', () => {
  const size = 1_500;
  const numbers = Array.from({ length: size }, (_, n) => n);

  it('in one circle go in one statement, all of them named', () => {
    const made = planOf(
      numbers.map((n) => own(name(n), 'next_id!')),
      numbers.map((n) => key(`${name(n)}(next_id) → ${name((n + 1) % size)}`)),
    );
    expect(made.levels).toHaveLength(2);
    expect(deleteSteps(made)).toHaveLength(size + 1);
    expect(hazardLines(made)).toEqual(['CYCLE_IN_ONE_STATEMENT allow public.t0000']);
  });

  it('in one circle that can be deferred go children first', () => {
    const made = planOf(
      numbers.map((n) => own(name(n), 'next_id!')),
      numbers.map((n) =>
        key(
          `${name(n)}(next_id) → ${name((n + 1) % size)}`,
          'NO ACTION',
          n === size - 1 ? deferrable : {},
        ),
      ),
    );
    const [first, second] = deleteSteps(made);
    expect([first?.table, second?.table]).toEqual(['public.t0000', 'public.t0001']);
    expect(hazardLines(made)).toEqual(['CYCLE_DEFERRED info public.t0000']);
  });

  it('in a chain go one after another, the last first', () => {
    const tables = numbers.map((n) => table(name(n), n === 0 ? 'id! tenant_id!' : 'id! up_id!'));
    const keys = numbers.map((n) =>
      key(n === 0 ? `${name(0)}(tenant_id) → tenants` : `${name(n)}(up_id) → ${name(n - 1)}`),
    );
    const made = plan(tables, keys);
    expect(deleteSteps(made).map((step) => step.table)).toEqual([
      ...numbers.map((n) => `public.${name(size - 1 - n)}`),
      'public.tenants',
    ]);
  });
});

describe('a key along a tenant path', () => {
  it('is not cleared to open a circle: the path keeps its order all the same', () => {
    const made = plan(
      [table('a', 'id! b_id! c_id'), table('b', 'id! c_id!'), table('c', 'id! tenant_id! a_id')],
      [
        key('c(tenant_id) → tenants'),
        key('b(c_id) → c'),
        key('a(b_id) → b'),
        key('a(c_id) → c', 'SET NULL'),
        key('c(a_id) → a', 'SET NULL'),
      ],
    );
    expect(levelLines(made)).toEqual([
      'dependents 1: c.a_id=NULL',
      'dependents 2: a',
      'dependents 3: b',
      'dependents 4: c',
      'tenant: tenants',
    ]);
  });
});
