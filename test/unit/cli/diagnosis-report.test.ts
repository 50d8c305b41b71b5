import { describe, expect, it } from 'vitest';
import { checkReport } from '../../../ops/cli/enqueue-options.ts';
import { describeEvidence } from '../../../ops/cli/output/diagnosis.ts';

const MADE_AT = '2026-03-01T00:00:00.000Z';
const REPORT = { database: '7/5/app', madeAt: MADE_AT, asOf: MADE_AT };
const refused = (message: RegExp) =>
  expect.objectContaining({
    code: 'TARGETS_REFUSED',
    message: expect.stringMatching(message),
    remedy: expect.stringContaining('tenant-purge diagnose --out'),
  });
const after = (days: number): Date => new Date(Date.parse(MADE_AT) + days * 86_400_000);

describe('A report of diagnosis that enqueue is given', () => {
  it('must be of this database, of its own moment, and no more than a week old', () => {
    expect(() => checkReport(null, 'other', after(99))).not.toThrow();
    expect(() => checkReport(REPORT, '7/5/app', after(7))).not.toThrow();
    expect(() => checkReport(REPORT, '7/5/copy', after(0))).toThrow(refused(/this is 7\/5\/copy/));
    expect(() => checkReport(REPORT, '7/5/app', after(7.1))).toThrow(refused(/more than 7 days/));
    expect(() =>
      checkReport({ ...REPORT, asOf: '2099-01-01T00:00:00.000Z' }, '7/5/app', after(0)),
    ).toThrow(refused(/what-if/));
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
