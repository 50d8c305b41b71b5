/** Ten real applications' schemas: what was purged comes back byte for byte, sequences included. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogueChecksum, sequenceValues } from '../../support/catalogue-checksum.ts';
import { restoreIn } from '../../support/restore-world.ts';
import { applications } from '../../support/schemas/facts.ts';
import {
  makeSchemaTemplate,
  PurgeCase,
  purgeAtOnce,
  purgeByBatches,
  type SchemaTemplate,
} from '../../support/schemas/purge-case.ts';
import { owningSoftKeys, withKeys } from '../../support/schemas/purge-settings.ts';

const atOnce = 1;
const byBatches = 3;

describe.each(applications)('tenants of %s', (application) => {
  let template: SchemaTemplate;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'archive-'));
    template = await makeSchemaTemplate(application);
  });

  afterAll(async () => {
    await template?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('39. come back as they were, and twice is once', async () => {
    await using schema = await PurgeCase.open(template, { edges: 'all' });
    const owning = withKeys(schema.bareSettings, owningSoftKeys(template.graph), 'own');
    const settings = await schema.settle(owning, [atOnce, byBatches]);
    const world = await schema.start(settings, { archiveDir: folder });
    // The filler chose its keys itself; an application's sequences are ahead of its rows.
    await world.pool.query(
      `select setval(format('%I.%I', schemaname, sequencename)::regclass, 30000) from pg_sequences
       where schemaname <> 'tenant_purge'`,
    );
    const rows = await catalogueChecksum(world.pool, { except: [] });
    const sequences = await sequenceValues(world.pool);
    const purges = [
      await purgeAtOnce(world, schema.tenantId(atOnce), { archive: true }),
      await purgeByBatches(world, schema.tenantId(byBatches), { archive: true }),
    ];
    expect(await catalogueChecksum(world.pool, { except: [] })).not.toEqual(rows);
    for (const id of purges.toReversed()) {
      const purge = await world.find(id);
      const report = await restoreIn(world, purge);
      expect(report).toMatchObject({ outcome: 'restored', rowsSkipped: 0 });
      expect(report.rowsRestored).toBe(purge.rowsDeleted);
    }
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
    expect(await sequenceValues(world.pool)).toEqual(sequences);
    for (const id of purges) {
      expect(await restoreIn(world, await world.find(id))).toMatchObject({ outcome: 'already' });
    }
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
  });
});
