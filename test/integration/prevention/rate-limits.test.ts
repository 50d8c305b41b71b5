import { RateLimiterRedis } from 'rate-limiter-flexible';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LimitOptions, PreventionGuard, type Verdict } from '../../../src/prevention/index.ts';
import { HONEST, production } from '../../support/prevention/clients.ts';
import {
  openRedisBehindProxy,
  type RedisBehindProxy,
} from '../../support/prevention/redis-behind-proxy.ts';
import { until } from '../../support/until.ts';

/** Long enough for two busy cores; what is about time has its own. */
const PATIENT = { redisTimeoutMs: 20_000 };

let world: RedisBehindProxy;
beforeEach(async () => {
  world = await openRedisBehindProxy();
});
afterEach(() => world.close());

const guardWith = (limits: LimitOptions = PATIENT): PreventionGuard =>
  new PreventionGuard(production(world.redis, { limits }));

const from = (ip: string, email: string) => ({ ...HONEST, ip, email });

const codes = (verdict: Verdict): string =>
  verdict.allowed ? 'allowed' : verdict.reasons.map(({ code }) => code).join(' ');

/** Each counter with its count; keys themselves hold no address. */
const counts = async (): Promise<{ ip: number[]; email: number[] }> => ({
  ip: await countsOf('ip'),
  email: await countsOf('email'),
});

async function countsOf(kind: string): Promise<number[]> {
  const keys = await world.direct.keys(`*rate-limit-${kind}*`);
  const values = await Promise.all(keys.map((key) => world.direct.get(key)));
  return values.map(Number).sort();
}

describe('Three tenants an hour', () => {
  it('from one address, whatever mailboxes; a refusal says when and uses up nothing', async () => {
    const guard = guardWith();
    const seen: string[] = [];
    for (const at of [1, 2, 3, 4, 5]) {
      seen.push(codes(await guard.checkTenantCreation(from('192.0.2.1', `a${at}@acme.com`))));
    }
    expect(seen).toEqual(['allowed', 'allowed', 'allowed', 'rate-limit-ip', 'rate-limit-ip']);
    expect(await counts()).toEqual({ ip: [3], email: [1, 1, 1] });
    const verdict = await guard.checkTenantCreation(from('192.0.2.1', 'a9@acme.com'));
    expect(verdict).toMatchObject({
      reasons: [{ evidence: { limit: 3, retryAfterSec: expect.any(Number) } }],
    });
    const ttlMs = await world.direct.pttl((await world.direct.keys('*rate-limit-ip*'))[0] ?? '');
    expect(ttlMs).toBeGreaterThan(3_500_000);
    expect(ttlMs).toBeLessThanOrEqual(3_600_000);
  });

  it('for one mailbox, however it is spelled, from wherever', async () => {
    const guard = guardWith();
    const spelled = [
      'jane.doe@gmail.com',
      'JaneDoe+a@gmail.com',
      'j.anedoe@googlemail.com',
      'janedoe@gmail.com',
    ];
    const seen: string[] = [];
    for (const [at, email] of spelled.entries()) {
      seen.push(codes(await guard.checkTenantCreation(from(`192.0.2.${at + 1}`, email))));
    }
    expect(seen).toEqual(['allowed', 'allowed', 'allowed', 'rate-limit-email']);
    // The fourth address has all its places.
    expect(await counts()).toEqual({ ip: [1, 1, 1], email: [3] });
    expect((await world.direct.keys('*')).join(' ')).not.toMatch(/jane|gmail/i);
  });

  it('from one /64, and not from the next', async () => {
    const guard = guardWith();
    const take = async (ip: string, at: number): Promise<string> =>
      codes(await guard.checkTenantCreation(from(ip, `a${at}@acme.com`)));
    expect(await take('2001:db8::1', 1)).toBe('allowed');
    expect(await take('2001:db8::ffff:1', 2)).toBe('allowed');
    expect(await take('2001:db8:0:0:9::', 3)).toBe('allowed');
    expect(await take('2001:db8::2', 4)).toBe('rate-limit-ip');
    expect(await take('2001:db8:0:1::2', 5)).toBe('allowed');
    expect(await take('::ffff:192.0.2.9', 6)).toBe('allowed');
    expect(await take('192.0.2.9', 7)).toBe('allowed');
    expect((await counts()).ip).toEqual([1, 2, 3]);
  });

  it('are counted under keys that show neither address nor mailbox', async () => {
    await guardWith().checkTenantCreation(from('2001:db8:1:2::3', 'jane@acme.com'));
    const keys = await world.direct.keys('*');
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      expect(key).toMatch(/^\{tenant-purge:prevention\}:rate-limit-(ip|email):[\w-]{43}$/);
    }
  });

  it('are as many again in the next window', async () => {
    const guard = guardWith({ ...PATIENT, windowMs: 1_000 });
    const take = async (): Promise<string> =>
      codes(await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com')));
    expect([await take(), await take(), await take()]).toEqual(Array(3).fill('allowed'));
    await until('the window is over', 10_000, async () =>
      (await take()) === 'allowed' ? true : null,
    );
  });

  it('are not counted for an address of the allow-list, but for the mailbox', async () => {
    const allow = { ips: ['192.0.2.0/24'] };
    const guard = new PreventionGuard(production(world.redis, { limits: PATIENT, allow }));
    for (const at of [1, 2, 3, 4, 5]) {
      expect(codes(await guard.checkTenantCreation(from('192.0.2.1', `a${at}@acme.com`)))).toBe(
        'allowed',
      );
    }
    const again = async (): Promise<string> =>
      codes(await guard.checkTenantCreation(from('192.0.2.1', 'a1@acme.com')));
    expect([await again(), await again(), await again()]).toEqual([
      'allowed',
      'allowed',
      'rate-limit-email',
    ]);
  });

  it('are not taken by what another rule refuses', async () => {
    const guard = guardWith();
    for (const name of ['Test', 'Demo', 'Test', 'Sample']) {
      await guard.checkTenantCreation({ ...HONEST, name });
    }
    expect(await counts()).toEqual({ ip: [], email: [] });
  });
});

/** Over two guards, as over two processes. */
const ask = async (requests: readonly { ip: string; email: string }[]): Promise<string[]> => {
  const pair = [guardWith(), guardWith()];
  const verdicts = await Promise.all(
    requests.map(({ ip, email }, at) => {
      const guard = pair[at % pair.length];
      if (guard === undefined) throw new Error('there is no guard');
      return guard.checkTenantCreation(from(ip, email));
    }),
  );
  return verdicts.map(codes);
};

describe('A place that is given back', () => {
  it('is free again, once, of both limits; whoever was refused has none to give', async () => {
    const guard = guardWith();
    const ask = () => guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'));
    const [first, second, third] = [await ask(), await ask(), await ask()];
    expect([first, second, third].map(codes)).toEqual(['allowed', 'allowed', 'allowed']);
    const refused = await ask();
    await guard.giveBack(refused);
    expect(await counts()).toEqual({ ip: [3], email: [3] });
    await guard.giveBack(first);
    await guard.giveBack(first);
    expect(await counts()).toEqual({ ip: [2], email: [2] });
    expect([codes(await ask()), codes(await ask())]).toEqual([
      'allowed',
      'rate-limit-ip rate-limit-email',
    ]);
  });

  it('stays away with a window that has ended', async () => {
    const guard = guardWith();
    const verdict = await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'));
    await world.direct.flushdb();
    await guard.giveBack(verdict);
    expect(await counts()).toEqual({ ip: [], email: [] });
  });

  it('stays taken while Redis is away, and nobody waits long or fails for it', async () => {
    const guard = guardWith({ redisTimeoutMs: 2_000 });
    const verdict = await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'));
    expect(codes(verdict)).toBe('allowed');
    world.proxy.swallow();
    const startedMs = performance.now();
    await guard.giveBack(verdict);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(await counts()).toEqual({ ip: [1], email: [1] });
  });
});

describe('Two hundred at once', () => {
  const numbers = Array.from({ length: 200 }, (_, at) => at);

  it('from one address: exactly three pass', async () => {
    const seen = await ask(numbers.map((at) => ({ ip: '192.0.2.1', email: `a${at}@acme.com` })));
    expect(seen.filter((code) => code === 'allowed')).toHaveLength(3);
    expect(await counts()).toEqual({ ip: [3], email: [1, 1, 1] });
  });

  it('for one mailbox: exactly three pass, and the other addresses keep all their places', async () => {
    const seen = await ask(
      numbers.map((at) => ({ ip: `198.51.100.${at}`, email: `a+${at}@acme.com` })),
    );
    expect(seen.filter((code) => code === 'allowed')).toHaveLength(3);
    expect(await counts()).toEqual({ ip: [1, 1, 1], email: [3] });
  });

  it('of twenty addresses and ten mailboxes: as many as fit, not one fewer', async () => {
    // Thirty places of mailboxes, sixty of addresses; whoever is refused really found one of both full.
    const seen = await ask(
      numbers.map((at) => ({
        ip: `192.0.2.${at % 20}`,
        email: `a${Math.floor(at / 20)}@acme.com`,
      })),
    );
    expect(seen.filter((code) => code === 'allowed')).toHaveLength(30);
    const { ip, email } = await counts();
    expect(email).toEqual(Array(10).fill(3));
    expect(ip.reduce((sum, count) => sum + count, 0)).toBe(30);
    expect(Math.max(...ip)).toBeLessThanOrEqual(3);
  });
});

describe('A client that the application shares', () => {
  it('keeps its own limiters: the guard defines no command on it', async () => {
    const own = new RateLimiterRedis({
      storeClient: world.redis,
      keyPrefix: 'own',
      points: 1,
      duration: 60,
    });
    await own.consume('a');
    const guard = guardWith();
    await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'));
    await expect(own.consume('a')).rejects.toMatchObject({ consumedPoints: 2 });
    expect(codes(await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com')))).toBe('allowed');
    expect((await counts()).ip).toEqual([2]);
  });
});

describe('While Redis is away', () => {
  const LIMIT_MS = 300;
  /** Beyond the bound: what the machine itself takes. */
  const SLACK_MS = 2_000;

  const timed = async (guard: PreventionGuard): Promise<string> => {
    const startedMs = performance.now();
    const verdict = await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'));
    expect(performance.now() - startedMs).toBeLessThan(LIMIT_MS + SLACK_MS);
    return codes(verdict);
  };

  it.each(['swallow', 'refuse'] as const)('(%s) nobody is let in, in bounded time', async (how) => {
    const guard = guardWith({ redisTimeoutMs: LIMIT_MS });
    world.proxy[how]();
    const seen = await Promise.all(Array.from({ length: 20 }, () => timed(guard)));
    expect([...new Set(seen)]).toEqual(['redis-unavailable']);
  });

  it.each(['swallow', 'refuse'] as const)(
    '(%s) everybody is, where it is configured so',
    async (how) => {
      const guard = guardWith({ redisTimeoutMs: LIMIT_MS, onRedisDown: 'open' });
      world.proxy[how]();
      const seen = await Promise.all(Array.from({ length: 20 }, () => timed(guard)));
      expect([...new Set(seen)]).toEqual(['allowed']);
    },
  );

  it('what arrives late is given back, so that who was refused has all three places afterwards', async () => {
    const guard = guardWith({ redisTimeoutMs: LIMIT_MS });
    world.proxy.swallow();
    expect(await timed(guard)).toBe('redis-unavailable');
    expect(await timed(guard)).toBe('redis-unavailable');
    world.proxy.restore('late');
    await until('both were counted and given back', 10_000, async () => {
      const { ip, email } = await counts();
      return ip.length === 1 && ip[0] === 0 && email[0] === 0 ? true : null;
    });
    const patient = guardWith();
    const seen: string[] = [];
    for (let at = 0; at < 4; at += 1) {
      seen.push(codes(await patient.checkTenantCreation(from('192.0.2.1', 'a@acme.com'))));
    }
    expect(seen).toEqual(['allowed', 'allowed', 'allowed', 'rate-limit-ip rate-limit-email']);
  });

  it('what arrives late counts for whom it let in', async () => {
    const guard = guardWith({ redisTimeoutMs: LIMIT_MS, onRedisDown: 'open' });
    world.proxy.swallow();
    expect(await timed(guard)).toBe('allowed');
    world.proxy.restore('late');
    await until('it was counted', 10_000, async () => ((await counts()).ip[0] === 1 ? true : null));
    // The answer is here after the first, and what would take it back has been done after the second.
    await world.redis.ping();
    await world.redis.ping();
    expect(await counts()).toEqual({ ip: [1], email: [1] });
  });

  it('ends: the first request after it is counted again', async () => {
    const guard = guardWith({ redisTimeoutMs: 2_000 });
    world.proxy.refuse();
    expect(codes(await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com')))).toBe(
      'redis-unavailable',
    );
    world.proxy.restore('reset');
    await until('ioredis is back', 20_000, async () =>
      codes(await guard.checkTenantCreation(from('192.0.2.1', 'a@acme.com'))) === 'allowed'
        ? true
        : null,
    );
  });
});
