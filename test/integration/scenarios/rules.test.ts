import { describe, expect, test } from 'vitest';
import { KEPT, PAIRS, SIZES, useScenarios } from '../../support/scenario.ts';

const open = useScenarios();

const AGENTS = `
  create table public.agents (id int primary key, tenant_id text not null references public.tenants);
  insert into public.agents select n, t from ${PAIRS};`;

describe.each(SIZES)('the rules of docs/rules.md, %s', (_, smallPurgeRows) => {
  test('of two equally good ways the one that the configuration names owns the rows', async () => {
    const sql = `
      create table public.teams (id int primary key, tenant_id text not null references public.tenants);
      create table public.users (id int primary key, tenant_id text not null references public.tenants);
      create table public.memberships (id int primary key, team_id int not null references public.teams,
        user_id int not null references public.users);
      insert into public.teams select n, t from ${PAIRS};
      insert into public.users select n, t from ${PAIRS};
      insert into public.memberships select n, n, n from ${PAIRS};
      insert into public.memberships values (50, 1, 101);`;
    const unsaid = await open(sql, { smallPurgeRows });
    await expect(unsaid.enqueue()).rejects.toMatchObject({
      message: expect.stringMatching(/OWNER_AMBIGUOUS.*public\.memberships/),
    });
    const scenario = await open(sql, {
      smallPurgeRows,
      config: { tables: { 'public.memberships': { ownedBy: ['team_id'] } } },
    });
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    expect(await scenario.ids('public.memberships')).toEqual(KEPT);
    expect(await scenario.ids('public.users')).toEqual(KEPT);

    const byUser = await open(sql, {
      smallPurgeRows,
      config: { tables: { 'public.memberships': { ownedBy: ['user_id'] } } },
    });
    await expect(byUser.enqueue()).rejects.toMatchObject({
      message: expect.stringContaining('id = 50 (of tenant kept, to tenant doomed)'),
    });
  });

  test('of several owner columns the first that has a value decides, and rows without one stay', async () => {
    const scenario = await open(
      `create table public.documents (id int primary key, tenant_id text not null references public.tenants);
       create table public.templates (id int primary key, tenant_id text not null references public.tenants);
       create table public.recipients (id int primary key, document_id int references public.documents,
         template_id int references public.templates);
       insert into public.documents select n, t from ${PAIRS};
       insert into public.templates select n, t from ${PAIRS};
       insert into public.recipients values (1, 1, null), (2, null, 2), (3, null, null),
         (4, 3, 3), (101, 101, null), (102, null, 102), (103, 103, 104);`,
      {
        smallPurgeRows,
        config: { tables: { 'public.recipients': { ownedBy: ['document_id', 'template_id'] } } },
      },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    expect(await scenario.ids('public.recipients')).toEqual([3, 101, 102, 103]);
    expect(await scenario.world.ledgerRows(id)).toMatchObject({ 'public.recipients': 3 });
  });

  test('a polymorphic owner is read with the column that says what it is', async () => {
    const scenario = await open(
      `create table public.agents (id text primary key, tenant_id text not null references public.tenants);
       create table public.notes (id int primary key, owner_id text, owner_type text);
       insert into public.agents values ('a1', 'doomed'), ('a2', 'kept'), ('doomed', 'kept');
       insert into public.notes values (1, 'doomed', 'Tenant'), (2, 'kept', 'Tenant'), (3, 'a1', 'Agent'),
         (4, 'a2', 'Agent'), (5, 'doomed', 'Agent'), (6, 'a1', 'Tenant'), (7, 'doomed', 'Planet'),
         (8, 'doomed', null), (9, null, 'Tenant');`,
      {
        smallPurgeRows,
        config: {
          tables: {
            'public.notes': {
              ownedBy: [
                { column: 'owner_id', when: { owner_type: 'Tenant' } },
                { column: 'owner_id', when: { owner_type: 'Agent' }, to: 'public.agents' },
              ],
            },
          },
        },
      },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
    expect(await scenario.ids('public.notes')).toEqual([2, 4, 5, 6, 7, 8, 9]);
    expect(await scenario.ids('public.agents')).toEqual(['a2', 'doomed']);
  });

  test('a condition of SQL names the rows, and what refers to them follows', async () => {
    const scenario = await open(
      `create table public.events (id int primary key, payload jsonb);
       create table public.retries (id int primary key, event_id int not null references public.events);
       insert into public.events select n, jsonb_build_object('tenant', t) from ${PAIRS};
       insert into public.events values (50, '{"tenant": "doomed''s"}'), (51, null), (52, '{"tenant": null}');
       insert into public.retries select n, n from ${PAIRS};
       insert into public.retries values (50, 50), (51, 51);`,
      {
        smallPurgeRows,
        config: { tables: { 'public.events': { where: "payload->>'tenant' = {tenantId} -- so" } } },
      },
    );
    expect(await scenario.hazards('OPERATOR_CONDITION')).toMatchObject([
      { table: 'public.events' },
    ]);
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
    expect(await scenario.ids('public.events')).toEqual([50, 51, 52, ...KEPT]);
    expect(await scenario.ids('public.retries')).toEqual([50, 51, ...KEPT]);
  });

  test('rows of a table that stays lose their tenant and every reference to what goes', async () => {
    const scenario = await open(
      `${AGENTS}
       create table public.audit_log (id int primary key, tenant_id text references public.tenants,
         agent_id int references public.agents, about text);
       insert into public.audit_log select n, t, n, 'x' from ${PAIRS};
       insert into public.audit_log values (50, null, null, 'nobody');`,
      { smallPurgeRows, config: { tables: { 'public.audit_log': { onPurge: 'set-null' } } } },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    const about = "concat_ws(' ', id, tenant_id, agent_id, about)";
    expect(await scenario.ids('public.audit_log', about)).toEqual(
      [
        ...KEPT.map((n) => `${n} kept ${n} x`),
        '50 nobody',
        ...[0, 1, 2, 3, 4].map((n) => `${n} x`),
      ].sort(),
    );
    expect(await scenario.ids('public.agents')).toEqual(KEPT);
  });

  test('rows of a table that is updated take the given values and stay with their number', async () => {
    const scenario = await open(
      `create table public.invoices (id int primary key, tenant_id text, number text not null,
         customer_name text, email text, paid boolean, total numeric, meta jsonb);
       create table public.accounts (id int primary key, tenant_id text not null references public.tenants);
       insert into public.invoices select n, t, 'N' || n, 'Ada', 'a@b', false, n, '{"a": 1}' from ${PAIRS};`,
      {
        smallPurgeRows,
        config: {
          tables: {
            'public.invoices': {
              onPurge: 'update',
              set: {
                customer_name: "it's removed",
                email: null,
                paid: 'true',
                total: '1.50',
                meta: '{"gone": true}',
                tenant_id: null,
              },
            },
          },
        },
      },
    );
    const before = await scenario.others();
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
    const { rows } = await scenario.world.pool.query(
      'select * from public.invoices where id < 100 order by id',
    );
    expect(rows.map(({ number }) => number)).toEqual(['N0', 'N1', 'N2', 'N3', 'N4']);
    for (const row of rows) {
      expect(row).toMatchObject({
        tenant_id: null,
        customer_name: "it's removed",
        email: null,
        paid: true,
        total: '1.50',
        meta: { gone: true },
      });
    }
    await scenario.world.pool.query('delete from public.invoices where id < 100');
    expect(await scenario.everything()).toEqual(before);
  });

  test('a kept table keeps its rows, and stops the purge where one refers to what goes', async () => {
    const scenario = await open(
      `${AGENTS}
       create table public.ledger (id int primary key, tenant_id text, agent_id int references public.agents);
       insert into public.ledger select n, t, null from ${PAIRS};`,
      { smallPurgeRows, config: { tables: { 'public.ledger': { onPurge: 'keep' } } } },
    );
    await scenario.world.pool.query('update public.ledger set agent_id = 3 where id = 3');
    const before = await scenario.everything();
    await expect(scenario.enqueue()).rejects.toMatchObject({
      code: 'HAZARD_BLOCKS',
      message: expect.stringMatching(/OUTSIDE_REFERENCE.*public\.ledger.*id = 3/),
    });
    expect(await scenario.everything()).toEqual(before);
    await scenario.world.pool.query('update public.ledger set agent_id = null');
    expect(await scenario.run(await scenario.enqueue())).toMatchObject({ kind: 'completed' });
    expect(await scenario.ids('public.ledger')).toEqual([0, 1, 2, 3, 4, ...KEPT]);
  });

  /** A rule for the key of `REVIEWS`. */
  const rule = (what: 'own' | 'set-null' | 'delete' | 'refuse') => ({
    smallPurgeRows,
    config: { foreignKeys: { 'public.reviews.reviews_author_id_fkey': what } },
  });

  describe('for a key of rows of nobody', () => {
    const REVIEWS = `${AGENTS}
      create table public.reviews (id int primary key, author_id int references public.agents on delete set null);
      insert into public.reviews values (1, 1), (2, 2), (50, null), (101, 101);`;

    test.each([
      [
        'own',
        [
          [50, null],
          [101, 101],
        ],
        { 'public.reviews': 2 },
      ],
      [
        'delete',
        [
          [50, null],
          [101, 101],
        ],
        { 'public.reviews': 2 },
      ],
      [
        'set-null',
        [
          [1, null],
          [2, null],
          [50, null],
          [101, 101],
        ],
        {},
      ],
    ] as const)(
      '%s does so by statements of ours, counted in the ledger',
      async (what, left, counted) => {
        const scenario = await open(REVIEWS, rule(what));
        const id = await scenario.enqueue();
        expect(await scenario.run(id)).toMatchObject({
          kind: 'completed',
          report: { residue: [] },
        });
        expect(await scenario.ids('public.reviews', 'array[id, author_id]')).toEqual(left);
        expect(await scenario.world.ledgerRows(id)).toEqual({
          'public.agents': 5,
          'public.tenants': 1,
          ...counted,
        });
        const cleared = await scenario.world.value(
          `select coalesce(sum(rows), 0)::int from tenant_purge.batch where kind = 'clear'`,
        );
        expect(cleared).toBe(what === 'set-null' ? 2 : 0);
      },
    );

    test('refuse stops the purge, as no rule does', async () => {
      for (const options of [rule('refuse'), { smallPurgeRows }]) {
        const scenario = await open(REVIEWS, options);
        const before = await scenario.everything();
        await expect(scenario.enqueue()).rejects.toMatchObject({
          code: 'HAZARD_BLOCKS',
          message: expect.stringContaining('id = 1 (of nobody, to tenant doomed); id = 2'),
        });
        expect(await scenario.everything()).toEqual(before);
      }
    });

    test('delete is refused where something refers to such a row in turn', async () => {
      const scenario = await open(
        `${REVIEWS} create table public.likes (id int primary key, review_id int not null references public.reviews);
         insert into public.likes values (1, 2);`,
        {
          smallPurgeRows,
          config: {
            foreignKeys: {
              'public.reviews.reviews_author_id_fkey': 'delete',
              'public.likes.likes_review_id_fkey': 'refuse',
            },
          },
        },
      );
      const before = await scenario.everything();
      await expect(scenario.enqueue()).rejects.toMatchObject({
        code: 'HAZARD_BLOCKS',
        message: expect.stringMatching(/public\.likes.*id = 1/),
      });
      expect(await scenario.everything()).toEqual(before);
    });
  });

  test('a one-to-one parent is followed, unless something else refers to it', async () => {
    const scenario = await open(
      `create table public.document_meta (id int primary key);
       create table public.envelopes (id int primary key, tenant_id text not null references public.tenants,
         meta_id int unique references public.document_meta);
       create table public.drafts (id int primary key, meta_id int references public.document_meta);
       insert into public.document_meta select n from generate_series(0, 6) n;
       insert into public.document_meta values (101);
       insert into public.envelopes values (1, 'doomed', 1), (2, 'doomed', 2), (3, 'doomed', null), (101, 'kept', 101);
       insert into public.drafts values (1, 2), (2, 5);`,
      {
        smallPurgeRows,
        config: {
          follow: ['public.envelopes.meta_id'],
          tables: { 'public.drafts': { onPurge: 'keep' } },
        },
      },
    );
    const id = await scenario.enqueue();
    const outcome = await scenario.run(id);
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect(await scenario.ids('public.document_meta')).toEqual([0, 2, 3, 4, 5, 6, 101]);
    expect(await scenario.ids('public.drafts')).toEqual([1, 2]);
  });
});
