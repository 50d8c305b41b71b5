import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt } from '../../support/purge-world.ts';
import { createRestoreWorld, type RestoreWorld } from '../../support/restore-world.ts';
import { makeTemplate } from '../../support/test-world.ts';

/** A circle, which the purge opens by clearing `best`; and rows of others that refer to the tenant's. */
const SCHEMA = `
  create table public.tenants (id text primary key, name text);
  create table public.teams (id int primary key, tenant_id text not null references public.tenants, best int);
  create table public.players (id int primary key, tenant_id text not null references public.tenants,
    team_id int not null references public.teams);
  alter table public.teams add foreign key (best) references public.players;
  create table public.fans (id int primary key, tenant_id text not null references public.tenants,
    player_id int references public.players, note text);
  insert into public.tenants values ('doomed', 'D'), ('kept', 'K');
  insert into public.teams select n, 'doomed' from generate_series(1, 20) n;
  insert into public.players select n, 'doomed', 1 + n % 20 from generate_series(1, 40) n;
  update public.teams set best = id;
  insert into public.fans select n, 'kept', n from generate_series(1, 10) n;
  create index on public.teams (best); create index on public.players (team_id); create index on public.fans (player_id);
`;

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(SCHEMA);
});
afterAll(() => template.drop());

const open = (): Promise<RestoreWorld> =>
  createRestoreWorld({
    template: template.name,
    config: {
      batch: { smallPurgeRows: 0, maxRows: 7, connections: 1 },
      redis: { keys: [] },
      foreignKeys: { 'public.fans.fans_player_id_fkey': 'set-null' },
    },
  });

describe('Rows that the purge had changed are read again at the very end', () => {
  test('where one of the tenant is not what it was, the restore fails, names the column, and goes on once it is mended', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const before = await catalogueChecksum(world.pool, { except: [] });
    const purge = await restoring.purge('doomed');
    const restore = restoring.restore(purge, {
      failpoint: actAt('restore-changed', 1, async () => {
        await world.pool.query('update public.teams set best = 9 where id in (3, 4)');
      }),
    });
    await expect(restore).rejects.toMatchObject({
      code: 'RESTORE_MISMATCH',
      message: expect.stringContaining('public.teams.best (2 rows without the value from before'),
    });
    expect(await world.find(purge.id)).toMatchObject({
      status: 'failed',
      error: { code: 'RESTORE_MISMATCH' },
    });
    await expect(restoring.restore(await world.find(purge.id))).rejects.toMatchObject({
      code: 'RESTORE_MISMATCH',
    });
    await world.pool.query('update public.teams set best = id where id in (3, 4)');
    expect(await restoring.restore(await world.find(purge.id))).toMatchObject({
      outcome: 'restored',
      rowsChangedBack: 30,
    });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  test('what others write to rows of theirs meanwhile is theirs', async () => {
    await using restoring = await open();
    const { world } = restoring;
    const purge = await restoring.purge('doomed');
    const report = await restoring.restore(purge, {
      failpoint: actAt('restore-changed', 1, async () => {
        await world.pool.query('update public.fans set player_id = 1 where id = 5');
        await world.pool.query('delete from public.fans where id = 6');
      }),
    });
    expect(report).toMatchObject({ outcome: 'restored', rowsChangedBack: 30 });
    const { rows } = await world.pool.query('select player_id from public.fans where id = 5');
    expect(rows).toEqual([{ player_id: 1 }]);
  });
});
