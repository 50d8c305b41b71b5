import { expect, it } from 'vitest';
import type { CampaignCounts } from '../../../src/domain/records.ts';
import { expectedResults } from '../../../src/engine/campaign/expected-results.ts';

const before: CampaignCounts = {
  tenants: 5,
  testTenants: 4,
  core: { 'public.agents': 50 },
  redisKeys: 30,
  keptRows: { '7': 100 },
  doomedCore: { 'public.agents': 20 },
  doomedTestTenants: 2,
};

it('says what should be there by the counts of before, and beside it what is there', () => {
  const after = {
    ...before,
    tenants: 3,
    testTenants: 2,
    core: { 'public.agents': 31 },
    redisKeys: 1,
    keptRows: { '7': 99 },
  };
  expect(expectedResults('public.tenants', 2, before, after)).toEqual([
    { what: 'public.tenants', before: 5, expected: 3, after: 3 },
    { what: 'test tenants', before: 4, expected: 2, after: 2 },
    { what: 'public.agents', before: 50, expected: 30, after: 31 },
    { what: 'Redis keys of the purged tenants', before: 30, expected: 0, after: 1 },
    { what: 'rows of kept tenant 7', before: 100, expected: 100, after: 99 },
  ]);
});

it('leaves out test tenants where no column marks them', () => {
  const unmarked = { ...before, testTenants: null, doomedTestTenants: null };
  const lines = expectedResults('public.tenants', 2, unmarked, unmarked);
  expect(lines.map(({ what }) => what)).not.toContain('test tenants');
});

it('takes a core table or kept tenant that is gone for empty', () => {
  const lines = expectedResults('public.tenants', 0, before, { ...before, core: {}, keptRows: {} });
  expect(lines.filter(({ after }) => after === 0).map(({ what }) => what)).toEqual([
    'public.agents',
    'rows of kept tenant 7',
  ]);
});
