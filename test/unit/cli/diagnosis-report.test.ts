import { describe, expect, it } from 'vitest';
import { checkReport, checkReportTable } from '../../../ops/cli/enqueue-options.ts';
import { describeEvidence } from '../../../ops/cli/output/diagnosis.ts';

const MADE_AT = '2026-03-01T00:00:00.000Z';
const REPORT = {
  database: '7/5/app',
  tenantTable: 'public.tenants',
  environment: 'staging',
  madeAt: MADE_AT,
  asOf: MADE_AT,
};
const here = (database: string, environment = 'staging') => ({ database, environment });
const refused = (message: RegExp) =>
  expect.objectContaining({
    code: 'TARGETS_REFUSED',
    message: expect.stringMatching(message),
    remedy: expect.stringContaining('tenant-purge diagnose --out'),
  });
const after = (days: number): Date => new Date(Date.parse(MADE_AT) + days * 86_400_000);

describe('A report of diagnosis that enqueue is given', () => {
  it('must be of this database, of its own moment, and no more than a week old', () => {
    expect(() => checkReport(null, here('other'), after(99))).not.toThrow();
    expect(() => checkReport(REPORT, here('7/5/app'), after(7))).not.toThrow();
    expect(() => checkReport(REPORT, here('7/5/copy'), after(0))).toThrow(
      refused(/this is 7\/5\/copy/),
    );
    expect(() => checkReport(REPORT, here('7/5/app'), after(7.1))).toThrow(
      refused(/more than 7 days/),
    );
    expect(() =>
      checkReport({ ...REPORT, asOf: '2099-01-01T00:00:00.000Z' }, here('7/5/app'), after(0)),
    ).toThrow(refused(/what-if/));
  });
});

describe('A report of a copy, of another table, or of a time to come', () => {
  it('is refused though the database has the same identity', () => {
    expect(() => checkReport(REPORT, here('7/5/app', 'production'), after(0))).toThrow(
      refused(/made in staging, and this is production/),
    );
    expect(() => checkReport(REPORT, here('7/5/app'), after(-1))).toThrow(refused(/still to come/));
    expect(() => checkReport(REPORT, here('7/5/app'), after(-0.01))).not.toThrow();
    expect(() => checkReportTable(REPORT, 'public.tenants')).not.toThrow();
    expect(() => checkReportTable(REPORT, 'public.orgs')).toThrow(
      refused(/these are of public\.orgs/),
    );
  });
});

describe('Evidence for people', () => {
  it('shows nothing that could write to a terminal', () => {
    const evil = '\u001b[2Jtest\u0007\u202e';
    const text = describeEvidence({
      rule: 'duplicate-subdomain',
      subdomain: evil,
      tenants: 2,
    });
    expect(text).toBe('subdomain �[2Jtest�� of 2 tenants');
  });
});
