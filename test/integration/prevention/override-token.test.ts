import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PreventionGuard } from '../../../src/prevention/index.ts';
import { mintOverrideToken } from '../../../src/prevention/override-token.ts';
import { HONEST, keepLog, production } from '../../support/prevention/clients.ts';
import {
  openRedisBehindProxy,
  type RedisBehindProxy,
} from '../../support/prevention/redis-behind-proxy.ts';

const SECRET = randomBytes(32).toString('base64url');
const pair = generateKeyPairSync('ed25519');
const PRIVATE = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
const PUBLIC = String(pair.publicKey.export({ type: 'spki', format: 'pem' }));
const AUDIENCE = 'signup.acme.com';
const TEST_TENANT = { ...HONEST, name: 'Test', subdomain: 'acme-test' };

const mint = (options: Partial<Parameters<typeof mintOverrideToken>[0]> = {}) =>
  mintOverrideToken({
    key: SECRET,
    audience: AUDIENCE,
    subject: 'acme-test',
    forMs: 60_000,
    operator: 'ops@desk',
    ...options,
  });

let redis: RedisBehindProxy;
beforeAll(async () => {
  redis = await openRedisBehindProxy();
});
afterAll(() => redis.close());
afterEach(() => redis.direct.flushdb());

function open(key = SECRET, redisTimeoutMs = 20_000) {
  const log = keepLog();
  const guard = new PreventionGuard(
    production(redis.redis, {
      log,
      override: { key, audience: AUDIENCE },
      limits: { redisTimeoutMs },
    }),
  );
  return {
    check: async (overrideToken: string, tenant: object = {}) =>
      guard.checkTenantCreation({ ...TEST_TENANT, ...tenant, overrideToken }),
    overrides: () => log.lines.map(({ facts }) => (facts as { override?: unknown }).override),
  };
}

describe.each([
  ['HS256', SECRET, SECRET],
  ['EdDSA', PRIVATE, PUBLIC],
])('An override token with %s', (algorithm, signing, verifying) => {
  it('lets its tenant in once, of many at once too, and the log says who signed it', async () => {
    const { check, overrides } = open(verifying);
    const { token, id } = await mint({ key: signing });
    expect(decodeProtectedHeader(token).alg).toBe(algorithm);
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => check(token)));
    const let_in = verdicts.filter(({ allowed }) => allowed);
    expect(let_in).toHaveLength(1);
    expect(let_in[0]).toMatchObject({
      because: 'overridden',
      reported: [{ code: 'suspicious-word' }, { code: 'suspicious-word' }],
    });
    expect(overrides()).toContain(`overruled by ops@desk, token ${id}`);
    expect(overrides()).toContain('the override token was not accepted: it was used before');
  });
});

describe('An override token', () => {
  it('is not spent on a tenant that needs none', async () => {
    const { check } = open();
    const { token } = await mint();
    expect(await check(token, { name: 'Acme', subdomain: 'acme' })).toMatchObject({
      because: 'clean',
    });
    expect(await check(token)).toMatchObject({ because: 'overridden' });
  });

  it('is for a name where there is no subdomain, however it is spelled', async () => {
    const { check } = open();
    const { token } = await mint({ subject: 'Test Equipment Ltd' });
    expect(await check(token, { name: 'TEST equipment Ltd', subdomain: null })).toMatchObject({
      because: 'overridden',
    });
  });

  it('does not overrule what cannot be read', async () => {
    const { check } = open();
    expect((await check((await mint()).token, { email: 'nobody' })).allowed).toBe(false);
  });

  const wrong: readonly [string, () => Promise<string>][] = [
    ['for another tenant', async () => (await mint({ subject: 'acme-test-2' })).token],
    ['for another service', async () => (await mint({ audience: 'other.acme.com' })).token],
    [
      'signed with another secret',
      async () => (await mint({ key: SECRET.replace(/^./, '!') })).token,
    ],
    ['signed with another algorithm', async () => (await mint({ key: PRIVATE })).token],
    ['over', () => forge({ exp: -60 })],
    ['for good', () => forge({ exp: null })],
    ['for longer than a week', () => forge({ exp: 30 * 86_400 })],
    ['older than a week', () => forge({ iat: -8 * 86_400 })],
    ['without an id', () => forge({ jti: null })],
    ['without a subject', () => forge({ sub: null })],
    ['of another issuer', () => forge({ iss: 'somebody' })],
    ['of another kind', () => forge({ typ: 'JWT' })],
    ['for several services', () => forge({ aud: [AUDIENCE, 'other'] })],
    ['unsigned', async () => unsigned((await mint()).token)],
    [
      'with a payload of somebody’s own',
      async () => swapPayload((await mint({ subject: 'other' })).token),
    ],
    ['no token at all', async () => 'let me in'],
    ['empty', async () => ''],
    ['longer than any', async () => `${(await mint()).token}${'A'.repeat(5_000)}`],
  ];
  it.each(wrong)('that is %s is refused', async (_what, make) => {
    const { check } = open();
    const verdict = await check(await make());
    expect(verdict).toMatchObject({
      allowed: false,
      reasons: [{ code: 'suspicious-word' }, { code: 'suspicious-word' }],
    });
  });

  it('as forged above is accepted where nothing is wrong with it', async () => {
    expect(await open().check(await forge({}))).toMatchObject({ because: 'overridden' });
  });

  it('signed with the public key as a secret is refused', async () => {
    const { check } = open(PUBLIC);
    const { token } = await mint();
    const [, payload = ''] = token.split('.');
    const header = Buffer.from(JSON.stringify(decodeProtectedHeader(token))).toString('base64url');
    const signature = createHmac('sha256', PUBLIC.trim())
      .update(`${header}.${payload}`)
      .digest('base64url');
    expect((await check(`${header}.${payload}.${signature}`)).allowed).toBe(false);
  });

  it('is refused while Redis cannot say that it is new', async () => {
    const { check, overrides } = open(SECRET, 200);
    const { token } = await mint();
    redis.proxy.swallow();
    expect((await check(token)).allowed).toBe(false);
    expect(overrides()).toEqual(['the override token was not accepted: Redis did not answer']);
    redis.proxy.restore('reset');
    // Waits for the new connection.
    await redis.redis.ping();
  });

  it('that Redis remembered too late is not spent: it was not accepted either', async () => {
    const hasty = open(SECRET, 300);
    const { token } = await mint();
    redis.proxy.swallow();
    expect((await hasty.check(token)).allowed).toBe(false);
    redis.proxy.restore('late');
    await redis.redis.ping();
    // Whatever came late has been answered, and taken back.
    await redis.redis.ping();
    expect(await redis.direct.keys('*override*')).toEqual([]);
    expect((await open().check(token)).allowed).toBe(true);
  });

  it('is remembered no longer than it lives', async () => {
    const { check } = open();
    await check((await mint({ forMs: 60_000 })).token);
    const [key = ''] = await redis.direct.keys('*override*');
    const ttlMs = await redis.direct.pttl(key);
    expect(ttlMs).toBeGreaterThan(55_000);
    expect(ttlMs).toBeLessThan(75_000);
  });

  it('is not made with a key or for a time that cannot be', async () => {
    await expect(mint({ key: 'short' })).rejects.toThrow(
      'it has 5 bytes; a secret has at least 32',
    );
    await expect(mint({ key: PUBLIC })).rejects.toThrow('it is no private key');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
    await expect(
      mint({ key: String(rsa.export({ type: 'pkcs8', format: 'pem' })) }),
    ).rejects.toThrow('not ed25519');
    await expect(mint({ forMs: 8 * 86_400_000 })).rejects.toThrow('7 days at most');
    await expect(mint({ subject: ' ' })).rejects.toThrow('needs an audience, a subject');
    expect(() => open('short')).toThrow('it has 5 bytes');
  });
});

/** A token like ours but for what is given; seconds from now; null: without it. */
async function forge(changes: {
  exp?: number | null;
  iat?: number;
  jti?: null;
  sub?: null;
  iss?: string;
  typ?: string;
  aud?: string[];
}): Promise<string> {
  const nowSec = Math.floor(Date.now() / 1_000);
  const token = new SignJWT({ operator: 'ops@desk' })
    .setProtectedHeader({ alg: 'HS256', typ: changes.typ ?? 'tenant-purge-override+jwt' })
    .setIssuer(changes.iss ?? 'tenant-purge')
    .setAudience(changes.aud ?? AUDIENCE)
    .setIssuedAt(nowSec + (changes.iat ?? 0));
  if (changes.exp !== null) token.setExpirationTime(nowSec + (changes.exp ?? 60));
  if (changes.jti !== null) token.setJti(randomBytes(8).toString('hex'));
  if (changes.sub !== null) token.setSubject('acme-test');
  return token.sign(Buffer.from(SECRET));
}

function unsigned(token: string): string {
  const [, payload = ''] = token.split('.');
  const header = { ...decodeProtectedHeader(token), alg: 'none' };
  return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.`;
}

function swapPayload(token: string): string {
  const [header, , signature] = token.split('.');
  const payload = { ...decodeJwt(token), sub: 'acme-test' };
  return [header, Buffer.from(JSON.stringify(payload)).toString('base64url'), signature].join('.');
}
