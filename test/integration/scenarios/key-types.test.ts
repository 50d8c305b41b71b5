import { expect, test } from 'vitest';
import { asTenantId } from '../../../src/domain/ids.ts';
import { deleteSteps } from '../../../src/domain/plan.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { ONE_BY_ONE_MAX } from '../../../src/postgres/rows/row-counts.ts';
import { ownedRows } from '../../../src/postgres/rows/row-predicate.ts';
import { type Scenario, SIZES, useScenarios } from '../../support/scenario.ts';

const open = useScenarios();

const prepare = ({ world }: Scenario, ids: readonly string[]) =>
  prepareCampaign(world.actor.prepare, { kind: 'tenants', ids });

/** Rows per tenant of a campaign of these. */
const rowsOf = async (scenario: Scenario, ids: readonly string[]): Promise<object> =>
  Object.fromEntries((await prepare(scenario, ids)).tenants.map(({ id, rows }) => [id, rows]));

/** `docs` say whose they are by a column of their own or else by their note. */
const CITEXT = `
  create extension citext;
  alter table public.tenants alter id type citext;
  insert into public.tenants select 'more ' || n from generate_series(1, ${ONE_BY_ONE_MAX}) n;
  create table public.notes (id int primary key, tenant_id citext not null references public.tenants);
  create table public.docs (id int primary key, tenant_id citext references public.tenants,
    note_id int not null references public.notes);
  create index on public.notes (tenant_id);
  insert into public.notes values (0, 'doomed'), (1, 'Doomed'), (2, 'DOOMED'), (100, 'KEPT'), (101, 'kept');
  insert into public.docs values (0, 'Doomed', 0), (1, null, 1), (100, null, 100), (101, 'kEpT', 101);
  create table public.pins (id int primary key, doc_id int not null references public.docs);
  insert into public.pins values (0, 0), (1, 1), (100, 100);`;

const SPELLED = {
  doomed: { 'public.notes': 3, 'public.docs': 2, 'public.pins': 2, 'public.tenants': 1 },
  kept: { 'public.notes': 2, 'public.docs': 2, 'public.pins': 1, 'public.tenants': 1 },
};

test('rows that spell a citext key otherwise are counted for one tenant, for two and for many', async () => {
  const scenario = await open(CITEXT);
  const more = Array.from({ length: ONE_BY_ONE_MAX }, (_, index) => `more ${index + 1}`);
  expect(await rowsOf(scenario, ['doomed'])).toEqual({ doomed: SPELLED.doomed });
  expect(await rowsOf(scenario, ['doomed', 'kept'])).toEqual(SPELLED);
  expect(await rowsOf(scenario, ['doomed', 'kept', ...more])).toMatchObject(SPELLED);
  // Rows and what they refer to are one tenant's, however each of them spells it.
  const { hazards } = await prepare(scenario, ['doomed', 'kept', ...more]);
  expect(hazards.filter(({ severity }) => severity === 'blocks')).toEqual([]);
  const id = await scenario.enqueue();
  expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
  expect(await scenario.world.ledgerRows(id)).toEqual(SPELLED.doomed);
  expect(await scenario.ids('public.notes')).toEqual([100, 101]);
  expect(await scenario.ids('public.docs')).toEqual([100, 101]);
});

test('numbers are counted by their value, not by their digits', async () => {
  const scenario = await open(
    `create table public.orgs (id numeric primary key);
     create table public.notes (id int primary key, org_id numeric not null references public.orgs);
     insert into public.orgs values (1), (2.50);
     insert into public.notes values (0, 1), (1, 1.0), (2, 1.00), (3, 2.5), (4, 2.500);`,
    { config: { tenant: { table: 'public.orgs' } } },
  );
  expect(await rowsOf(scenario, ['1', '2.50'])).toEqual({
    '1': { 'public.notes': 3, 'public.orgs': 1 },
    '2.50': { 'public.notes': 2, 'public.orgs': 1 },
  });
});

/** Tenants on both sides of 2^31; `notes` and what hangs on them have integers only. */
const WIDE_KEY = `
  create table public.orgs (id bigint primary key);
  insert into public.orgs values (7), (8), (3000000000), (3000000001);
  create table public.notes (id int primary key, org_id int references public.orgs);
  create table public.logs (id int primary key, org_id smallint);
  create table public.docs (id int primary key, org_id bigint not null references public.orgs,
    note_id int references public.notes);
  create index on public.notes (org_id);
  insert into public.notes select n, 7 + n % 2 from generate_series(1, 20000) n;
  insert into public.logs select n, 7 + n % 2 from generate_series(1, 10) n;
  insert into public.docs values (1, 3000000000, null), (2, 3000000001, null), (3, 7, 2);
  analyze public.notes;`;

const ORGS = { config: { tenant: { table: 'public.orgs', columns: ['org_id'] } } };

test.each(SIZES)(
  'an integer column below a bigint key has no rows of ids that it has no room for, %s',
  async (_, smallPurgeRows) => {
    const scenario = await open(WIDE_KEY, { ...ORGS, smallPurgeRows });
    const big = { 'public.docs': 1, 'public.orgs': 1 };
    expect(await rowsOf(scenario, ['3000000000'])).toEqual({ '3000000000': big });
    expect(await rowsOf(scenario, ['7', '3000000000', '3000000001'])).toEqual({
      '7': { 'public.docs': 1, 'public.logs': 5, 'public.notes': 10_000, 'public.orgs': 1 },
      '3000000000': big,
      '3000000001': big,
    });
    const purge = await scenario.world.enqueueOne('3000000000');
    expect(await scenario.run(purge.id)).toMatchObject({
      kind: 'completed',
      report: { residue: [] },
    });
    expect(await scenario.world.ledgerRows(purge.id)).toEqual(big);
    expect(await scenario.ids('public.orgs')).toEqual(['7', '8', '3000000001']);
  },
);

test('the index of the integer column serves ids of the wider key, and those of text and uuid keep theirs', async () => {
  const scenario = await open(WIDE_KEY, ORGS);
  const { plan } = await prepare(scenario, ['7']);
  const notes = deleteSteps(plan).find(({ table }) => table === 'public.notes');
  const condition = notes && ownedRows(notes.path, 't', asTenantId('3000000000'));
  expect(condition).toBe(`t."org_id" = '3000000000'::bigint`);
  const { rows } = await scenario.world.pool.query(
    `explain select from only public.notes t where ${condition}`,
  );
  expect(JSON.stringify(rows)).toContain('notes_org_id_idx');

  const text = await open(
    'create table public.notes (id int primary key, tenant_id varchar(36) not null references public.tenants);',
  );
  const [step] = deleteSteps((await text.prepare()).plan);
  expect(step && ownedRows(step.path, 't', asTenantId('doomed'))).toBe(`t."tenant_id" = 'doomed'`);
});
