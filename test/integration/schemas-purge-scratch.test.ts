import { Pool } from 'pg';
import { expect, it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { makePlan } from '../../src/planner/make-plan.ts';
import { readCatalogue } from '../../src/postgres/catalogue-reader.ts';
import { applications } from '../support/schemas/facts.ts';
import { databaseUrlOf } from '../support/postgres.ts';
import { makeSchemaTemplate } from '../support/schemas/purge-case.ts';
import { answerHazards, bareSettings, owningSoftKeys, softTenantKeys } from '../support/schemas/purge-settings.ts';
import { hazardsInTheWay } from '../../src/domain/hazard.ts';

it.each(applications)('%s', async (application) => {
  const t0 = performance.now();
  await using template = await makeSchemaTemplate(application);
  const t1 = performance.now();
  const pool = new Pool({ connectionString: databaseUrlOf(template.name), max: 1 });
  const catalogue = await readCatalogue(pool as never);
  await pool.end();
  for (const virtual of [false, true]) {
  if (virtual && !template.virtual) continue;
  const out: unknown[] = [];
  let settings = bareSettings(template.facts, virtual);
  for (let round = 0; round < 20; round++) {
    const plan = makePlan(catalogue, { tenant: { table: settings.tenant.table, key: null, label: null, testColumn: null, columns: settings.tenant.columns }, core: [], tables: settings.tables as never, foreignKeys: settings.foreignKeys });
    if (round === 0) {
      const n: Record<string, number> = {};
      for (const h of plan.hazards) n[`${h.severity} ${h.type}`] = (n[`${h.severity} ${h.type}`] ?? 0) + 1;
      console.log(application, 'virtual', virtual, Math.round(t1 - t0), JSON.stringify(n));
      out.push(plan.hazards.filter((h) => h.severity !== 'info' || h.type.startsWith('TENANT_COL')||h.type==='CYCLE_DEFERRED').map((h) => `${h.severity} ${h.type} ${h.message} ${h.remedy}`));
    }
    const { blocking, notAllowed } = hazardsInTheWay(plan.hazards, settings.allow);
    if (blocking.length + notAllowed.length === 0) break;
    settings = answerHazards(settings, [...blocking, ...notAllowed]);
  }
  out.push(settings, { own: owningSoftKeys(template.graph), softTenant: softTenantKeys(template.graph) });
  console.log(JSON.stringify({ tables: Object.keys(settings.tables).length, keys: Object.keys(settings.foreignKeys).length, allow: settings.allow, own: owningSoftKeys(template.graph).length, soft: softTenantKeys(template.graph)}));
  writeFileSync(`/tmp/purge-haz-${application}-${virtual}.json`, JSON.stringify(out, null, 1));
  }
  expect(1).toBe(1);
});
