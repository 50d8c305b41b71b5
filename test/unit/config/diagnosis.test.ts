import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../src/config/problems.ts';

const problemsOf = (diagnosis: unknown): readonly string[] =>
  checkFile({ tenant: { table: 'public.tenants' }, diagnosis }).problems;

describe('Section diagnosis of the configuration', () => {
  it('may be left out, and looks for everything itself', () => {
    const { value } = checkFile({ tenant: { table: 'public.tenants' } });
    expect(value?.diagnosis).toMatchObject({
      nameColumns: null,
      activity: null,
      usage: null,
      inactiveDays: 90,
      bulk: { perHour: 3 },
    });
  });

  it('takes what it is documented to take', () => {
    expect(
      problemsOf({
        nameColumns: [],
        emailColumns: ['contact_email', 'public.users.email'],
        subdomainColumn: false,
        agentsTable: 'public.agents',
        activity: [{ table: 'public.messages', column: 'sent_at', tenantColumn: 'org' }],
        usage: { table: 'public.api_usage' },
        words: ['qa', 'prüfung'],
        emailDomains: ['qa.acme.io', 'intern'],
      }),
    ).toEqual([]);
  });

  it.each([
    [{ nameColumn: ['name'] }, 'diagnosis.nameColumn: unknown key; did you mean "nameColumns"?'],
    [{ bulk: { perHours: 3 } }, 'diagnosis.bulk.perHours: unknown key; did you mean "perHour"?'],
    [
      { usage: { table: 'usage' } },
      'diagnosis.usage.table: must be "schema.table", e.g. "public.agents"',
    ],
    [{ owner: true }, 'diagnosis.owner: must be a name, or false for "do not look"'],
    [{ words: ['two words'] }, 'diagnosis.words.0: must be one word of letters and digits'],
    [
      { emailDomains: ['a@b.de'] },
      'diagnosis.emailDomains.0: must be a domain, e.g. "example.com"',
    ],
  ])('is refused with what is wrong: %j', (diagnosis, problem) => {
    expect(problemsOf(diagnosis)).toEqual([problem]);
  });
});
