import { expect, test } from 'vitest';
import { actAt } from '../../support/purge-world.ts';
import { PAIRS, useScenarios } from '../../support/scenario.ts';

const open = useScenarios();

test.each(['cascade', 'set null', 'set default'])(
  "5. a table that appears in mid-run and whose key would change another tenant's row (on delete %s) stops the purge",
  async (action) => {
    const scenario = await open(`
      create table public.agents (id int primary key, tenant_id text not null references public.tenants);
      create table public.notes (id int primary key, agent_id int not null references public.agents);
      insert into public.agents select n, t from ${PAIRS};
      insert into public.notes select n, n from ${PAIRS};`);
    const id = await scenario.enqueue();
    const failpoint = actAt('batch-committed', 1, async () => {
      await scenario.world.pool.query(`create table public.late (id int primary key,
          tenant_id text references public.tenants, agent_id int references public.agents on delete ${action});
        insert into public.late values (1, 'kept', 1)`);
    });
    expect((await scenario.run(id, { failpoint })).kind).not.toBe('completed');
    expect(await scenario.ids('public.late', 'array[id, agent_id]')).toEqual([[1, 1]]);
  },
);

test('4. tenant columns of a schema without a single foreign key to the tenant table are not passed over in silence', async () => {
  const scenario = await open(`
    create table public.logs (id int primary key, tenant_id text not null);
    insert into public.logs select n, t from ${PAIRS};`);
  const { hazards } = await scenario.prepare();
  expect(hazards.filter(({ table }) => table === 'public.logs')).not.toEqual([]);
});
