import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CaptchaProviderName,
  type CaptchaSettings,
  PreventionGuard,
  type PreventionOptions,
  type Verdict,
} from '../../../src/prevention/index.ts';
import {
  type CaptchaServer,
  startCaptchaServer,
} from '../../support/prevention/captcha-provider.ts';
import { HONEST, production } from '../../support/prevention/clients.ts';
import {
  openRedisBehindProxy,
  type RedisBehindProxy,
} from '../../support/prevention/redis-behind-proxy.ts';
import { until } from '../../support/until.ts';

const LIMITS = { redisTimeoutMs: 20_000, perIp: 1_000, perEmail: 1_000 };

let redis: RedisBehindProxy;
let server: CaptchaServer;
beforeEach(async () => {
  redis = await openRedisBehindProxy();
});
afterEach(async () => {
  await server?.close();
  await redis.close();
});

async function open(
  provider: CaptchaProviderName,
  settings: Partial<CaptchaSettings> = {},
  options: Partial<PreventionOptions> = {},
): Promise<(captchaToken: string | undefined) => Promise<Verdict>> {
  server = await startCaptchaServer(provider);
  const guard = new PreventionGuard(
    production(redis.redis, {
      limits: LIMITS,
      captcha: {
        provider,
        secret: server.secret,
        siteKey: server.siteKey,
        hostnames: ['app.acme.com', '127.0.0.1'],
        verifyUrl: server.verifyUrl,
        timeoutMs: 20_000,
        ...settings,
      },
      ...options,
    }),
  );
  return (captchaToken) => guard.checkTenantCreation({ ...HONEST, captchaToken });
}

const codes = (verdict: Verdict): string =>
  verdict.allowed ? 'allowed' : verdict.reasons.map(({ code }) => code).join(' ');

describe.each(['hcaptcha', 'recaptcha', 'turnstile'] as const)('%s', (provider) => {
  it('is asked as it documents: a form with secret, token and address', async () => {
    const check = await open(provider);
    const token = server.solve();
    expect(codes(await check(token))).toBe('allowed');
    expect(server.asked).toEqual([
      {
        type: 'application/x-www-form-urlencoded;charset=UTF-8',
        secret: server.secret,
        response: token,
        remoteip: HONEST.ip,
        ...(provider === 'hcaptcha' ? { sitekey: server.siteKey } : {}),
      },
    ]);
  });

  it('is not asked twice for one token, which passes once of many at once', async () => {
    const check = await open(provider);
    const token = server.solve();
    const seen = (await Promise.all(Array.from({ length: 20 }, () => check(token)))).map(codes);
    expect(seen.filter((code) => code === 'allowed')).toHaveLength(1);
    expect(seen.filter((code) => code === 'captcha-replayed')).toHaveLength(19);
    expect(server.asked).toHaveLength(1);
    // Redis holds no token.
    expect((await redis.direct.keys('*')).join(' ')).not.toContain(token);
  });

  it('refuses a token that it verified for somebody else', async () => {
    const check = await open(provider);
    const token = server.solve();
    expect(codes(await check(token))).toBe('allowed');
    await redis.direct.flushdb();
    expect(codes(await check(token))).toBe('captcha-replayed');
  });

  it('refuses a made-up token, and none', async () => {
    const check = await open(provider);
    expect(codes(await check('made-up'))).toBe('captcha-rejected');
    expect(codes(await check(undefined))).toBe('captcha-missing');
    expect(codes(await check(''))).toBe('captcha-missing');
    expect(codes(await check('x'.repeat(20_000)))).toBe('captcha-rejected');
    expect(server.asked).toHaveLength(1);
  });

  it('is not believed for the page of another', async () => {
    const check = await open(provider);
    for (const hostname of ['evil.example', 'app.acme.com.evil.example', '', undefined]) {
      server.extra = { hostname };
      expect(codes(await check(server.solve()))).toBe('captcha-hostname');
    }
    server.extra = { hostname: 'APP.acme.com' };
    expect(codes(await check(server.solve()))).toBe('allowed');
  });

  it('is not believed for a challenge of yesterday', async () => {
    const check = await open(provider);
    server.extra = { challenge_ts: new Date(Date.now() - 86_400_000).toISOString() };
    expect(codes(await check(server.solve()))).toBe('captcha-rejected');
    server.extra = { challenge_ts: 'soon' };
    expect(codes(await check(server.solve()))).toBe('captcha-rejected');
  });

  it('with a wrong secret is unavailable, not who signs up to blame', async () => {
    const check = await open(provider, { secret: 'wrong' });
    expect(codes(await check(server.solve()))).toBe('captcha-unavailable');
  });
});

describe('A score and an action', () => {
  it('of reCAPTCHA v3 must be high enough and the page’s own', async () => {
    const check = await open('recaptcha', { scoreMin: 0.5, action: 'signup' });
    const cases: readonly [object, string][] = [
      [{ score: 0.9, action: 'signup' }, 'allowed'],
      [{ score: 0.5, action: 'signup' }, 'allowed'],
      [{ score: 0.4, action: 'signup' }, 'captcha-rejected'],
      [{ score: '0.9', action: 'signup' }, 'captcha-rejected'],
      [{ action: 'signup' }, 'captcha-rejected'],
      [{ score: 0.9, action: 'login' }, 'captcha-rejected'],
      [{ score: 0.9 }, 'captcha-rejected'],
    ];
    for (const [extra, outcome] of cases) {
      server.extra = { ...extra };
      expect([extra, codes(await check(server.solve()))]).toEqual([extra, outcome]);
    }
  });
});

describe('A reCAPTCHA key of v3', () => {
  it('lets nobody in as long as nobody said which score will do: it succeeds for everybody', async () => {
    const check = await open('recaptcha');
    server.extra = { score: 0.1, action: 'signup' };
    expect(codes(await check(server.solve()))).toBe('captcha-unavailable');
  });

  it('is the only one with a score to be had', async () => {
    for (const provider of ['hcaptcha', 'turnstile'] as const) {
      await expect(open(provider, { scoreMin: 0.5 })).rejects.toThrow('only reCAPTCHA v3');
      await server.close();
    }
    await expect(open('hcaptcha', { action: 'signup' })).rejects.toThrow('names no action');
  });
});

describe('A provider that does not answer as it should', () => {
  it.each([
    'hangs',
    'hangs-in-body',
    'status-500',
    'status-429',
    'redirects',
    'no-json',
    'floods',
    'drops',
  ] as const)(
    '(%s) lets nobody in, in bounded time; the same token passes once it is back',
    async (fault) => {
      const check = await open('turnstile', { timeoutMs: 300 });
      const token = server.solve();
      // Warm: the first connection of a process takes its own time.
      await check('made-up');
      server.fault = fault;
      const startedMs = performance.now();
      expect(codes(await check(token))).toBe('captcha-unavailable');
      expect(performance.now() - startedMs).toBeLessThan(2_500);
      server.fault = 'none';
      // In the middle of its answer it has counted the token.
      expect(codes(await check(token))).toBe(
        fault === 'hangs-in-body' ? 'captcha-replayed' : 'allowed',
      );
    },
  );

  it('sends the secret nowhere else', async () => {
    const check = await open('hcaptcha');
    server.fault = 'redirects';
    await check(server.solve());
    expect(server.asked).toHaveLength(1);
  });

  it('lets everybody in where it is configured so, and says so', async () => {
    const check = await open('hcaptcha', { timeoutMs: 300, onUnavailable: 'open' });
    server.fault = 'status-500';
    const verdict = await check(server.solve());
    expect(verdict).toMatchObject({ allowed: true, reported: [{ code: 'captcha-unavailable' }] });
    server.fault = 'none';
    expect(codes(await check('made-up'))).toBe('captcha-rejected');
  });

  it('also where nobody listens, and a fetch that never ends', async () => {
    const check = await open('hcaptcha', { verifyUrl: 'http://127.0.0.1:9/siteverify' });
    expect(codes(await check('token'))).toBe('captcha-unavailable');
    await server.close();
    const deaf = await open(
      'hcaptcha',
      { timeoutMs: 100 },
      { fetch: () => new Promise(() => undefined) },
    );
    expect(codes(await deaf('token'))).toBe('captcha-unavailable');
  });
});

describe('A Redis that does not remember tokens', () => {
  const AWAY = { ...LIMITS, redisTimeoutMs: 200 };

  it('lets nobody in, and the provider is not asked', async () => {
    const check = await open('hcaptcha', {}, { limits: AWAY });
    redis.proxy.swallow();
    expect(codes(await check(server.solve()))).toBe('redis-unavailable');
    expect(server.asked).toHaveLength(0);
  });

  it('or remembers them late forgets one that was refused for it: it is good afterwards', async () => {
    const check = await open('turnstile', {}, { limits: { ...LIMITS, redisTimeoutMs: 500 } });
    const token = server.solve();
    redis.proxy.swallow();
    expect(codes(await check(token))).toBe('redis-unavailable');
    redis.proxy.restore('late');
    await redis.redis.ping();
    // Whatever came late has been answered, and taken back.
    await redis.redis.ping();
    expect(await redis.direct.keys('*captcha*')).toEqual([]);
    const again = await until('Redis answers in time', 20_000, async () => {
      const answer = codes(await check(token));
      return answer === 'redis-unavailable' ? null : answer;
    });
    expect(again).toBe('allowed');
  });

  it('leaves it to the provider where the guard is to fail open', async () => {
    const check = await open('hcaptcha', {}, { limits: { ...AWAY, onRedisDown: 'open' } });
    redis.proxy.swallow();
    const token = server.solve();
    expect(codes(await check(token))).toBe('allowed');
    expect(codes(await check(token))).toBe('captcha-replayed');
    expect(codes(await check('made-up'))).toBe('captcha-rejected');
  });
});

describe('The order of the rules', () => {
  it('asks no provider about what looks like test data, and counts nothing that it refuses', async () => {
    server = await startCaptchaServer('hcaptcha');
    const { secret, verifyUrl } = server;
    const guard = new PreventionGuard(
      production(redis.redis, {
        limits: LIMITS,
        captcha: { provider: 'hcaptcha', secret, verifyUrl, hostnames: ['127.0.0.1'] },
      }),
    );
    const token = server.solve();
    await guard.checkTenantCreation({ ...HONEST, name: 'Test', captchaToken: token });
    expect(server.asked).toHaveLength(0);
    await guard.checkTenantCreation({ ...HONEST, captchaToken: 'made-up' });
    expect(await redis.direct.keys('*rate-limit*')).toEqual([]);
    expect((await guard.checkTenantCreation({ ...HONEST, captchaToken: token })).allowed).toBe(
      true,
    );
  });
});
