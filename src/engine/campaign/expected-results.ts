import type { CampaignCounts } from '../../domain/records.ts';
import type { ExpectedResult } from '../../domain/report.ts';

/**
 * The expected-results table: what was there, what should be there now, what is there. Expected is
 * derived from the counts taken when the campaign was enqueued, never from what the purge reports.
 */
export function expectedResults(
  tenantTable: string,
  doomedTenants: number,
  before: CampaignCounts,
  after: CampaignCounts,
): ExpectedResult[] {
  const results: ExpectedResult[] = [
    {
      what: tenantTable,
      before: before.tenants,
      expected: before.tenants - doomedTenants,
      after: after.tenants,
    },
  ];
  if (before.testTenants !== null && after.testTenants !== null) {
    results.push({
      what: 'test tenants',
      before: before.testTenants,
      expected: before.testTenants - (before.doomedTestTenants ?? 0),
      after: after.testTenants,
    });
  }
  for (const [table, rows] of Object.entries(before.core)) {
    results.push({
      what: table,
      before: rows,
      expected: rows - (before.doomedCore[table] ?? 0),
      after: after.core[table] ?? 0,
    });
  }
  results.push({
    what: 'Redis keys of the purged tenants',
    before: before.redisKeys,
    expected: 0,
    after: after.redisKeys,
  });
  for (const [tenant, rows] of Object.entries(before.keptRows)) {
    results.push({
      what: `rows of kept tenant ${tenant}`,
      before: rows,
      expected: rows,
      after: after.keptRows[tenant] ?? 0,
    });
  }
  return results;
}
