import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import {
  type CreatedTenant,
  PreventionGuard,
  type ReasonCode,
} from '../../../src/prevention/index.ts';
import { KNOWN_SIGN_UPS } from '../../fixtures/prevention/sign-ups.ts';
import { HONEST, keepLog, NO_REDIS, production } from '../../support/prevention/clients.ts';

/** Nothing is counted, and what is honest passes: the rules alone decide. */
const OPEN = { limits: { onRedisDown: 'open' } } as const;

const guard = new PreventionGuard(production(NO_REDIS, OPEN));

/** The rules that the request hits; that Redis is away is none of them. */
async function hits(
  request: Partial<Parameters<PreventionGuard['checkTenantCreation']>[0]>,
  judge = guard,
): Promise<ReasonCode[]> {
  const verdict = await judge.checkTenantCreation({ ...HONEST, ...request });
  if (verdict.allowed) return [];
  return [...new Set(verdict.reasons.map(({ code }) => code))];
}

describe('The rules over known sign-ups', () => {
  it.each(KNOWN_SIGN_UPS)('judge %j', async ({ name, subdomain, email, truth }) => {
    expect(await hits({ name, subdomain, email })).toEqual(truth === null ? [] : [truth]);
  });

  it('have a precision and a recall of 1 each, and a near miss for every one', async () => {
    const rows = new Map<
      ReasonCode,
      { hit: number; missed: number; wrong: number; near: number }
    >();
    const row = (code: ReasonCode) => {
      const known = rows.get(code) ?? { hit: 0, missed: 0, wrong: 0, near: 0 };
      rows.set(code, known);
      return known;
    };
    for (const { truth, near, ...request } of KNOWN_SIGN_UPS) {
      const found = new Set(await hits(request));
      if (truth !== null) row(truth)[found.has(truth) ? 'hit' : 'missed'] += 1;
      if (near !== undefined) row(near).near += 1;
      for (const code of found) if (code !== truth) row(code).wrong += 1;
    }
    const judged = [...rows].map(([rule, { hit, missed, wrong, near }]) => ({
      rule,
      precision: hit / (hit + wrong),
      recall: hit / (hit + missed),
      cases: hit + missed,
      nearMisses: near,
    }));
    console.table(judged);
    expect(judged.map(({ rule }) => rule).sort()).toEqual([
      'disposable-email-domain',
      'input-invalid',
      'listed-email-domain',
      'reserved-email-domain',
      'suspicious-word',
    ]);
    for (const { precision, recall, nearMisses } of judged) {
      expect([precision, recall]).toEqual([1, 1]);
      expect(nearMisses).toBeGreaterThan(3);
    }
  });

  it('name every rule that was hit, with what shows it and never the mailbox', async () => {
    const verdict = await guard.checkTenantCreation({
      ...HONEST,
      name: 'Test of demo',
      subdomain: 'sample-1',
      email: 'jane.doe@mail.mailinator.com',
    });
    expect(verdict).toMatchObject({
      allowed: false,
      reasons: [
        { code: 'suspicious-word', evidence: { field: 'name', match: 'test' } },
        { code: 'suspicious-word', evidence: { field: 'name', match: 'demo' } },
        { code: 'suspicious-word', evidence: { field: 'subdomain', match: 'sample' } },
        { code: 'listed-email-domain', evidence: { field: 'email', match: 'mailinator.com' } },
      ],
    });
    expect(JSON.stringify(verdict)).not.toContain('jane');
  });

  it('take words and domains of the application besides', async () => {
    const own = new PreventionGuard(
      production(NO_REDIS, {
        ...OPEN,
        words: ['staging'],
        emailDomains: ['qa.acme.com'],
        allowedEmailDomains: ['mailinator.com'],
      }),
    );
    expect(await hits({ name: 'Staging 3' }, own)).toEqual(['suspicious-word']);
    expect(await hits({ name: 'Upstaging' }, own)).toEqual([]);
    expect(await hits({ email: 'a@mx.qa.acme.com' }, own)).toEqual(['listed-email-domain']);
    expect(await hits({ email: 'a@acme.com' }, own)).toEqual([]);
    expect(await hits({ email: 'a@mailinator.com' }, own)).toEqual([]);
    expect(await hits({ email: 'a@guerrillamail.com' }, own)).toEqual(['listed-email-domain']);
  });
});

describe('The allow-list', () => {
  const allow = {
    names: ['Test Equipment Ltd'],
    subdomains: ['demo-records'],
    emails: ['qa.lead@gmail.com'],
    emailDomains: ['sample-labs.com'],
    ips: ['198.51.100.0/24', '2001:db8:1::/48'],
  };
  const lenient = new PreventionGuard(production(NO_REDIS, { ...OPEN, allow }));

  it.each([
    [{ name: 'test equipment ltd' }, { name: 'Test Equipment Ltd 2' }],
    [
      { name: 'Demo', subdomain: 'Demo-Records' },
      { name: 'Demo', subdomain: 'demo-records-2' },
    ],
    [
      { name: 'Test', email: 'qalead+7@googlemail.com' },
      { name: 'Test', email: 'qa.lead@gmail.com.acme.org' },
    ],
    [
      { name: 'Test', email: 'a@eu.sample-labs.com' },
      { name: 'Test', email: 'a@notsample-labs.com' },
    ],
    [
      { name: 'Test', ip: '198.51.100.7' },
      { name: 'Test', ip: '198.51.101.7' },
    ],
    [
      { name: 'Test', ip: '2001:db8:1:9::1' },
      { name: 'Test', ip: '2001:db8:2::1' },
    ],
    [
      { name: 'Test', ip: '::ffff:198.51.100.7' },
      { name: 'Test', ip: '::ffff:198.51.101.7' },
    ],
  ])('lets %j in, and not %j', async (listed, near) => {
    const verdict = await lenient.checkTenantCreation({ ...HONEST, ...listed });
    expect(verdict).toMatchObject({ allowed: true, because: 'allow-listed' });
    expect(await hits(near, lenient)).toEqual(['suspicious-word']);
  });

  it('does not exempt from the limits whoever only says the right name', async () => {
    const closed = new PreventionGuard(production(NO_REDIS, { allow }));
    expect(await hits({ name: 'Test Equipment Ltd' }, closed)).toEqual(['redis-unavailable']);
  });

  it('knows a domain however it is written', async () => {
    const own = new PreventionGuard(
      production(NO_REDIS, { ...OPEN, allow: { emailDomains: ['München-Labs.de.'] } }),
    );
    const email = 'a@xn--mnchen-labs-thb.de';
    expect(await hits({ name: 'Test', email: 'a@münchen-labs.de' }, own)).toEqual([]);
    expect(await hits({ name: 'Test', email }, own)).toEqual([]);
  });

  it('is refused with every entry that is no network', () => {
    const wrong = { allow: { ips: ['10.0.0.0/33', 'office', '10.0.0.1'] } };
    expect(() => new PreventionGuard(production(NO_REDIS, wrong))).toThrow(
      'allow.ips: no address or network: 10.0.0.0/33, office.',
    );
  });
});

describe('The environment', () => {
  it.each([
    ['production', true],
    ['PROD', true],
    [' live ', true],
    [undefined, true],
    ['', true],
    ['staging', false],
    ['development', false],
    ['test', false],
    ['production-like', false],
  ])('%j: refuses %s', async (environment, refuses) => {
    const log = keepLog();
    const judge = new PreventionGuard({ ...production(NO_REDIS, OPEN), environment, log });
    const verdict = await judge.checkTenantCreation({ ...HONEST, name: 'Test' });
    expect(judge.isEnforced).toBe(refuses);
    // Said once, at the start.
    expect(log.lines.filter(({ level }) => level === 'info').map(({ facts }) => facts)).toEqual(
      refuses ? [] : [{ environment, enforced: ['production', 'prod', 'live'] }],
    );
    expect(verdict.allowed).toBe(!refuses);
    // Reported either way.
    expect(log.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: `tenant creation ${refuses ? 'refused' : 'reported'}`,
        facts: expect.objectContaining({ rule: 'suspicious-word', reference: verdict.reference }),
      }),
    );
    if (verdict.allowed) {
      expect(verdict.because).toBe('reported');
      expect(verdict.reported[0]?.code).toBe('suspicious-word');
    }
  });

  it('may be one of the application’s own', async () => {
    const judge = new PreventionGuard({
      ...production(NO_REDIS, { ...OPEN, enforceIn: ['Staging'] }),
      environment: 'staging',
    });
    expect(await hits({ name: 'Test' }, judge)).toEqual(['suspicious-word']);
  });
});

describe('A tenant that was created', () => {
  it.each([
    [{ name: 'Acme', subdomain: 'acme' }, 'no'],
    [{ name: 'Contest', subdomain: null }, 'no'],
    [{ name: 'Acme', subdomain: 'acme-test' }, 'yes'],
    [{ name: 'Test', subdomain: null, email: 'a@example.com' }, 'yes'],
    [{ name: 'Acme', subdomain: null, email: 'a@example.com' }, 'no'],
    [{}, 'no'],
    [{ name: ['Test'], subdomain: { demo: 1 } }, 'no'],
  ])('%j is counted under test_word="%s", once', async (tenant, testWord) => {
    const registry = new Registry();
    const log = keepLog();
    const judge = new PreventionGuard(production(NO_REDIS, { registry, log }));
    // From ways of creation that have no type checker too: the tenant is there, this must not throw.
    judge.recordCreated(tenant as CreatedTenant);
    const metrics = await registry.metrics();
    for (const value of ['yes', 'no']) {
      const series = `tenant_purge_prevention_tenants_created_total{test_word="${value}"}`;
      expect(metrics).toContain(`${series} ${value === testWord ? 1 : 0}\n`);
    }
    expect(log.lines.map(({ message }) => message)).toEqual(
      testWord === 'yes' ? ['a tenant with a test word was created'] : [],
    );
  });
});

/** With options as plain JavaScript and process.env have them. */
const madeWith = (options: object) => () => new PreventionGuard(production(NO_REDIS, options));

describe('A guard that is set up wrongly', () => {
  const captcha = { provider: 'turnstile', secret: 's', hostnames: ['app.acme.com'] };
  const override = { key: 'k'.repeat(32), audience: 'signup' };

  it.each([
    [{ limits: { onRedisDown: 'fail-closed' } }, 'limits.onRedisDown: must be one of closed, open'],
    [{ redis: undefined }, 'redis: must be a client'],
    [{ log: {} }, 'log: must have info'],
    [{ captcha: { ...captcha, provider: 'toString' } }, 'captcha.provider: must be one of'],
    [{ captcha: { ...captcha, secret: undefined } }, 'captcha.secret: is empty'],
    [{ captcha: { ...captcha, hostnames: undefined } }, 'captcha.hostnames: name the pages'],
    [{ captcha: { ...captcha, hostnames: ['https://a.com'] } }, 'without https:// and port'],
    [{ captcha: { ...captcha, onUnavailable: 'allow' } }, 'captcha.onUnavailable: must be one of'],
    [{ captcha: { ...captcha, verifyUrl: 'https://' } }, 'captcha.verifyUrl: must be a URL'],
    [{ captcha: { ...captcha, verifyUrl: 'https://a:b@c.de' } }, 'without a password'],
    [{ override: { ...override, audience: undefined } }, 'override.audience: is empty'],
    [{ override: { ...override, audience: ' ' } }, 'override.audience: is empty'],
    [{ override: { ...override, key: undefined } }, 'override.key: is empty'],
    [{ words: ['load-test'] }, 'words: "load-test" is not one word'],
    [{ emailDomains: ['@qa.acme.com'] }, 'emailDomains: "@qa.acme.com" is not a domain'],
    [{ allowedEmailDomains: ['*.acme.com'] }, 'allowedEmailDomains: "*.acme.com" is not a domain'],
    [{ allow: { emailDomains: ['a b'] } }, 'allow.emailDomains: "a b" is not a domain'],
    [{ allow: { emails: ['acme.com'] } }, 'allow.emails: "acme.com" is not an e-mail address'],
  ])('does not come up with %j', (options, problem) => {
    expect(madeWith(options)).toThrow(problem);
  });

  it('comes up with what is right', () => {
    expect(
      madeWith({
        captcha: { ...captcha, onUnavailable: 'open', verifyUrl: 'http://127.0.0.1:9/x' },
        override,
        words: ['Übung', 'e2e'],
        emailDomains: ['münchen.de', 'qa.acme.com.'],
        allow: { emails: ['a@acme.com'], emailDomains: ['acme.com'] },
        limits: { onRedisDown: undefined },
      }),
    ).not.toThrow();
  });

  it('does not come up, and says everything that is wrong', () => {
    expect(
      () =>
        new PreventionGuard(
          production(NO_REDIS, {
            limits: { perIp: 0, perEmail: 2.5, windowMs: 1_500, redisTimeoutMs: 0 },
            captcha: { provider: 'turnstile', secret: '', hostnames: [] },
          }),
        ),
    ).toThrow(
      /limits.perIp[\s\S]*limits.perEmail[\s\S]*limits.windowMs[\s\S]*redisTimeoutMs[\s\S]*captcha.secret[\s\S]*captcha.hostnames/,
    );
  });
});
