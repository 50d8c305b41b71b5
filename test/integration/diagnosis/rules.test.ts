import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RULE_NAMES } from '../../../src/diagnosis/evidence.ts';
import { TENANTS } from '../../fixtures/diagnosis/tenants.ts';
import { Accuracy } from '../../support/accuracy.ts';
import {
  createDiagnosisApplication,
  type DiagnosisRun,
  type DiagnosisSetup,
  runDiagnosis,
} from '../../support/diagnosis-application.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';

const DIAGNOSIS: NonNullable<DiagnosisSetup['diagnosis']> = {
  activity: [{ table: 'public.messages', column: 'sent_at' }],
  emailColumns: ['owner_email', 'public.users.email'],
  usage: { table: 'public.api_usage', requestsColumn: 'requests', atColumn: 'day' },
  bulk: { burstTenants: 4 },
};
const KEEP = TENANTS.flatMap((tenant, index) => (tenant.protected ? [String(index + 1)] : []));

const count = (wanted: string): number =>
  TENANTS.filter(({ recommendation }) => recommendation === wanted).length;

describe('Tenants whose truth is known', () => {
  let database: TestDatabase;
  let run: DiagnosisRun;

  beforeAll(async () => {
    database = await createDatabase({ name: 'diagnosis_truth' });
    await createDiagnosisApplication(database.url, TENANTS);
    run = await runDiagnosis(database.url, {
      diagnosis: DIAGNOSIS,
      hold: 'legal_hold',
      keep: KEEP,
    });
  });

  afterAll(() => database?.drop());

  const found = () =>
    TENANTS.map((truth, index) => {
      const entry = run.entries.find(({ tenantId }) => tenantId === String(index + 1));
      if (entry === undefined) throw new Error(`no entry of ${truth.case}`);
      return { truth, entry, rules: new Set(entry.evidence.map(({ rule }) => rule)) };
    });

  it('are each hit by exactly the rules that they should be hit by', () => {
    const shown = found().map(({ truth, rules }) => [truth.case, [...rules].sort()]);
    expect(shown).toEqual(TENANTS.map(({ case: name, hits }) => [name, [...hits].sort()]));
  });

  it('show precision and recall 1 for every rule, and every rule has cases that it must not hit', () => {
    const accuracy = new Accuracy();
    for (const { truth, rules } of found()) {
      for (const rule of RULE_NAMES) {
        const should = truth.hits.includes(rule);
        // Any tenant may be hit wrongly; as a near miss counts only what was made to be one.
        if (should || truth.nearMisses.includes(rule) || rules.has(rule)) {
          accuracy.add(rule, { should, does: rules.has(rule) });
        }
      }
    }
    accuracy.print('Rules over the database');
    const rules = accuracy.rules();
    expect(rules.map(({ rule }) => rule).sort()).toEqual([...RULE_NAMES].sort());
    for (const { rule, precision, recall, hits, nearMisses } of rules) {
      expect({ rule, precision, recall }).toEqual({ rule, precision: 1, recall: 1 });
      expect({ rule, hits: hits > 0, nearMisses: nearMisses > 0 }).toEqual({
        rule,
        hits: true,
        nearMisses: true,
      });
    }
  });

  it('are each recommended for what they are, with the reason', () => {
    const shown = found().map(({ truth, entry }) => [
      truth.case,
      entry.recommendation,
      entry.reasons.includes(truth.reason) ? truth.reason : entry.reasons,
    ]);
    expect(shown).toEqual(
      TENANTS.map(({ case: name, recommendation, reason }) => [name, recommendation, reason]),
    );
    const accuracy = new Accuracy();
    for (const { truth, entry } of found()) {
      for (const recommendation of ['purge', 'review', 'keep']) {
        accuracy.add(recommendation, {
          should: truth.recommendation === recommendation,
          does: entry.recommendation === recommendation,
        });
      }
    }
    accuracy.print('Recommendations');
    expect(accuracy.rules().map(({ precision, recall }) => [precision, recall])).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
  });

  it('are counted by section, rule and recommendation', () => {
    const { totals, sections } = run.summary;
    expect(totals.recommended).toEqual({
      purge: count('purge'),
      review: count('review'),
      keep: count('keep'),
    });
    expect(totals.tenants).toBe(TENANTS.length);
    expect(totals.suspicious).toBe(count('purge') + count('review'));
    for (const { rule, tenants } of sections.flatMap(({ rules }) => rules)) {
      const hits = TENANTS.filter((tenant) => tenant.hits.includes(rule)).length;
      expect([rule, tenants]).toEqual([rule, hits]);
    }
    expect(sections.map(({ section }) => section)).toEqual([
      'flag',
      'names',
      'emails',
      'creation',
      'inactivity',
      'usage',
      'quality',
    ]);
  });

  it('are never recommended for purge by a name alone, whatever score is asked for', async () => {
    const { entries } = await runDiagnosis(database.url, {
      diagnosis: { ...DIAGNOSIS, purgeScore: 1, reviewScore: 0 },
      hold: 'legal_hold',
      keep: KEEP,
    });
    const other = /^(test-flag|.*-email-domain|bulk-address|burst)$/;
    const purged = entries.filter(({ recommendation }) => recommendation === 'purge');
    expect(purged.length).toBeGreaterThan(5);
    for (const { tenantId, evidence } of purged) {
      expect([tenantId, evidence.some(({ rule }) => other.test(rule))]).toEqual([tenantId, true]);
    }
  });

  it('are never recommended for purge where nothing tells who is in use', async () => {
    const { entries } = await runDiagnosis(database.url, {
      diagnosis: { ...DIAGNOSIS, activity: [] },
    });
    expect(entries.filter(({ recommendation }) => recommendation === 'purge')).toEqual([]);
    const reviewed = entries.filter(({ recommendation }) => recommendation === 'review');
    expect(reviewed.some(({ reasons }) => reasons.includes('activity-unknown'))).toBe(true);
  });
});
