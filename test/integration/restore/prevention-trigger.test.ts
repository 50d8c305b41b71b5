import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installTrigger } from '../../../src/postgres/prevention/trigger.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { hasPsql } from '../../support/psql.ts';
import { createRestoreWorld, type RestoreWorld } from '../../support/restore-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const run = promisify(execFile);

let template: TestDatabase;

beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 2 }));
});
afterAll(() => template.drop());

/** With a trigger that refuses new tenants by the name that the tenant has. */
async function createGuardedWorld(): Promise<RestoreWorld> {
  const restoring = await createRestoreWorld({ template: template.name });
  const { pool, actor } = restoring.world;
  await pool.query(`update public.tenants set name = 'Test tenant' where id = 'doomed'`);
  await installTrigger(actor.database, {
    table: 'public.tenants',
    columns: { name: 'name', subdomain: null, email: null },
    words: ['test'],
    domains: { listed: new Set(), disposable: new Set(), allowed: new Set() },
  });
  return restoring;
}

describe('A test tenant that the trigger would refuse today', () => {
  it.each([
    {
      what: 'restore',
      restore: async (restoring: RestoreWorld, purge: Awaited<ReturnType<RestoreWorld['purge']>>) =>
        restoring.restore(purge),
      possible: true,
    },
    {
      what: 'restore.sql and psql alone',
      restore: async (
        { archiveDir, world }: RestoreWorld,
        purge: Awaited<ReturnType<RestoreWorld['purge']>>,
      ) => {
        const cwd = join(archiveDir, 'purges', purge.id);
        await until('the script is written', 10_000, async () =>
          existsSync(join(cwd, 'restore.sql')) ? true : null,
        );
        const url = world.config.databaseUrl;
        const argv = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'restore.sql', url];
        return run('psql', argv, { cwd });
      },
      possible: hasPsql,
    },
  ])('comes back by $what all the same', async ({ restore, possible }) => {
    if (!possible) return;
    await using restoring = await createGuardedWorld();
    const { pool } = restoring.world;
    const before = await catalogueChecksum(pool, { except: [] });
    const purge = await restoring.purge('doomed');
    await expect(
      pool.query(`insert into public.tenants (id, name) values ('new', 'Test tenant')`),
    ).rejects.toMatchObject({ code: 'TP010' });
    await restore(restoring, purge);
    expect(await catalogueChecksum(pool, { except: [] })).toEqual(before);
  });
});
