import { expect, test } from 'vitest';
import { createRestoreWorld, readSequences } from '../../support/restore-world.ts';
import { makeTemplate } from '../../support/test-world.ts';

const SCHEMA = `
  create table public.tenants (id text primary key);
  insert into public.tenants values ('doomed'), ('kept');
  create domain public.number as bigint check (value is not null);
  create sequence public.far; create sequence public.down increment -1; create sequence public.odd;
  create table public.things (
    id public.number default nextval('public.far') primary key,
    tenant_id text not null references public.tenants,
    down int default nextval('public.down'),
    word text default 'w' || nextval('public.odd'),
    ahead int generated always as identity);
  select setval('public.far', 9007199254740990);
  insert into public.things (tenant_id) select 'doomed' from generate_series(1, 5);
`;

test('A restore moves each sequence on to exactly the value that came back, up or down, and none back', async () => {
  const template = await makeTemplate(SCHEMA);
  try {
    await using restoring = await createRestoreWorld({
      template: template.name,
      config: { redis: { keys: [] } },
    });
    const { pool } = restoring.world;
    const purge = await restoring.purge('doomed');
    await pool.query(`alter sequence public.far restart; alter sequence public.down restart;
      alter sequence public.odd restart; select setval('public.things_ahead_seq', 700)`);
    const report = await restoring.restore(purge);
    expect(report.sequences).toHaveLength(2);
    expect(await readSequences(pool)).toEqual(
      [
        ['down', '-5'],
        ['far', '9007199254740995'],
        ['odd', null],
        ['things_ahead_seq', '700'],
      ].map(([sequencename, last]) => ({
        schemaname: 'public',
        sequencename,
        last_value: last,
      })),
    );
    const next = await pool.query(`select nextval('public.far')::text as far`);
    expect(next.rows).toEqual([{ far: '9007199254740996' }]);
  } finally {
    await template.drop();
  }
});
