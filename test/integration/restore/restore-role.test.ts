import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { createRestoreWorld } from '../../support/restore-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';

const WORKER = `purge_role_${process.pid}`;
const RESTORER = `restore_role_${process.pid}`;

/** Roles are the whole server's: other tests may use the names of the files. */
const sqlOf = (name: string): string =>
  readFileSync(new URL(`../../../ops/sql/${name}`, import.meta.url), 'utf8')
    .replaceAll('tenant_purge_restore', RESTORER)
    .replaceAll(/((?:TO|ROLE) )tenant_purge\b/g, `$1${WORKER}`)
    .replaceAll("rolname = 'tenant_purge'", `rolname = '${WORKER}'`)
    .replaceAll("ARRAY['public']", "ARRAY['public', 'app']");

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 4 }));
});
afterAll(() => template.drop());

test('the role of ops/sql/restore-role.sql may restore, and needs no more', async () => {
  await using restoring = await createRestoreWorld({ template: template.name });
  const { world } = restoring;
  const before = await catalogueChecksum(world.pool, { except: [] });
  const purge = await restoring.purge('doomed');
  for (const name of ['roles.sql', 'restore-role.sql']) {
    await world.pool.query(sqlOf(name));
  }
  await world.pool.query(`alter role ${RESTORER} password 'secret'`);
  const url = new URL(world.config.databaseUrl);
  url.username = RESTORER;
  url.password = 'secret';
  try {
    expect(await restoring.restore(purge, { into: url.href })).toMatchObject({
      outcome: 'restored',
      rowsSkipped: 0,
    });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  } finally {
    await world.pool.query(
      `drop owned by ${RESTORER}, ${WORKER}; drop role ${RESTORER}, ${WORKER}`,
    );
  }
});
