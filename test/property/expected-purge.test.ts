import { describe, expect, it } from 'vitest';
import { expectPurge } from '../support/random-schema/expected-purge.ts';
import { handMade } from '../support/random-schema/hand-made.ts';

const agents = 'agents: id! tenant_id!';
const agentsOfTenant = 'agents.tenant_id > tenants.id';

/** `agents 1` for each row that goes, by table and first column. */
const gone = (found: ReturnType<typeof handMade>): string[] =>
  [...expectPurge(found).deleted]
    .flatMap(([table, rows]) => rows.map((row) => `${table} ${Object.values(row)[0]}`))
    .filter((line) => line !== 'tenants A');

const reasons = (found: ReturnType<typeof handMade>): string[] =>
  expectPurge(found).mustRefuse.map(({ kind, table }) => `${kind} ${table}`);

/** Parts that must refer to one another. */
const twins = (rows: string): ReturnType<typeof handMade> =>
  handMade({
    tables: ['parts: id! tenant_id! twin!'],
    keys: ['parts.tenant_id > tenants.id', 'parts.twin > parts.id'],
    rows: [rows],
  });

describe('the expected purge', () => {
  it('takes what refers to the tenant, and what must refer to that', () => {
    const found = handMade({
      tables: [agents, 'notes: id! agent_id!'],
      keys: [agentsOfTenant, 'notes.agent_id > agents.id restrict'],
      rows: ['agents: 1 A | 2 B', 'notes: n1 1 | n2 2'],
    });
    expect(reasons(found)).toEqual([]);
    expect(gone(found)).toEqual(['agents 1', 'notes n1']);
  });

  it('asks the next way for a row without a value for the better one', () => {
    const found = handMade({
      tables: [agents, 'notes: id! tenant_id agent_id'],
      keys: [agentsOfTenant, 'notes.tenant_id > tenants.id', 'notes.agent_id > agents.id cascade'],
      rows: ['agents: 1 A | 2 B', 'notes: n1 A 1 | n2 - 1 | n3 - 2 | n4 - -'],
    });
    expect(gone(found)).toEqual(['agents 1', 'notes n1', 'notes n2']);
  });

  it('believes the better way where the two differ, and refuses for what the other would lose', () => {
    const found = handMade({
      tables: [agents, 'notes: id! tenant_id! agent_id!'],
      keys: [agentsOfTenant, 'notes.tenant_id > tenants.id', 'notes.agent_id > agents.id cascade'],
      rows: ['agents: 1 A | 2 B', 'notes: n1 B 1 | n2 A 2'],
    });
    expect(gone(found)).toEqual(['agents 1', 'notes n2']);
    expect(reasons(found)).toEqual(['OUTSIDE_REFERENCE notes']);
  });

  it('takes a column for a tenant column that is called like those with a key', () => {
    const found = handMade({
      tables: [agents, 'logs: id! tenant_id'],
      keys: [agentsOfTenant],
      rows: ['agents: 1 A', 'logs: l1 A | l2 B | l3 - | l4 X'],
    });
    expect(gone(found)).toEqual(['agents 1', 'logs l1']);
  });

  it('never owns by a SET NULL key, and refuses where one would act', () => {
    const base = {
      tables: [agents, 'links: id! agent_id'],
      keys: [agentsOfTenant, 'links.agent_id > agents.id set null'],
      rows: ['agents: 1 A | 2 B', 'links: l1 1 | l2 2 | l3 -'],
    };
    expect(reasons(handMade(base))).toEqual(['OUTSIDE_REFERENCE links']);
    const ruled = (rule: 'set-null' | 'delete' | 'refuse') =>
      handMade({
        ...base,
        settings: { foreignKeys: { 'public.links.links_agent_id_fkey': rule } },
      });
    expect(reasons(ruled('refuse'))).toEqual(['OUTSIDE_REFERENCE links']);
    expect(gone(ruled('set-null'))).toEqual(['agents 1']);
    expect(expectPurge(ruled('set-null')).rows.get('links')?.[0]).toEqual({
      id: 'l1',
      agent_id: null,
    });
    expect(gone(ruled('delete'))).toEqual(['agents 1', 'links l1']);
  });

  it('refuses to clear what must have a value, and to delete what is referred to', () => {
    const base = {
      tables: [agents, 'links: id! agent_id!', 'marks: id! link_id'],
      keys: [
        agentsOfTenant,
        'links.agent_id > agents.id set null',
        'marks.link_id > links.id set null',
      ],
      rows: ['agents: 1 A', 'links: l1 1', 'marks: m1 l1'],
    };
    const ruled = (rule: 'set-null' | 'delete') =>
      handMade({
        ...base,
        settings: { foreignKeys: { 'public.links.links_agent_id_fkey': rule } },
      });
    expect(reasons(ruled('set-null'))).toEqual(['NOT_CLEARABLE links']);
    expect(reasons(ruled('delete'))).toEqual(['DELETED_REFERENCE marks']);
  });

  it('refuses two equally good owners until the configuration names one', () => {
    const base = {
      tables: ['deals: id! seller! buyer!'],
      keys: ['deals.seller > tenants.id', 'deals.buyer > tenants.id'],
      rows: ['deals: d1 A A | d2 A B | d3 B B'],
    };
    expect(reasons(handMade(base))).toContain('OWNER_AMBIGUOUS deals');
    const settled = handMade({
      ...base,
      settings: { tables: { 'public.deals': { ownedBy: ['seller'] } } },
    });
    expect(reasons(settled)).toEqual([]);
    expect(gone(settled)).toEqual(['deals d1', 'deals d2']);
  });

  it('refuses a table that only nullable plain keys lead from, until the configuration says', () => {
    const base = {
      tables: [agents, 'memos: id! agent_id'],
      keys: [agentsOfTenant, 'memos.agent_id > agents.id'],
      rows: ['agents: 1 A', 'memos: m1 - | m2 1'],
    };
    const ruled = (rule: 'own' | 'set-null') =>
      handMade({
        ...base,
        settings: { foreignKeys: { 'public.memos.memos_agent_id_fkey': rule } },
      });
    expect(reasons(handMade(base))).toContain('OWNER_UNCLEAR memos');
    expect(reasons(ruled('own'))).toEqual([]);
    expect(gone(ruled('own'))).toEqual(['agents 1', 'memos m2']);
    expect(gone(ruled('set-null'))).toEqual(['agents 1']);
  });

  it('takes rows that refer to each other, and refuses where one of them is of another', () => {
    expect(gone(twins('parts: p1 A p2 | p2 A p1'))).toEqual(['parts p1', 'parts p2']);
    expect(reasons(twins('parts: p1 A p2 | p2 B p1'))).toEqual(['OUTSIDE_REFERENCE parts']);
  });
});
