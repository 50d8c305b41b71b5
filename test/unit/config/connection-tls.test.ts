import { describe, expect, it } from 'vitest';
import { checkEnvironment } from '../../../src/config/environment.ts';

const ENV = {
  DATABASE_URL: 'postgres://app:s3cret@db.internal/app',
  REDIS_URL: 'rediss://:s3cret@cache.internal:6380/1',
};

const valueOf = (more: NodeJS.ProcessEnv) => checkEnvironment({ ...ENV, ...more }).value;

describe("The environment's TLS variables", () => {
  it('leave the URLs alone where none is set', () => {
    expect(valueOf({})).toMatchObject({ databaseUrl: ENV.DATABASE_URL, redisUrl: ENV.REDIS_URL });
  });

  it('complete a DATABASE_URL that does not say how', () => {
    expect(valueOf({ PGSSLMODE: 'verify-full', PGSSLROOTCERT: '/ca.pem' })?.databaseUrl).toBe(
      `${ENV.DATABASE_URL}?sslmode=verify-full&sslrootcert=%2Fca.pem`,
    );
  });

  it('name the CA of every rediss:// URL, and of no redis:// URL', () => {
    const value = valueOf({
      REDIS_TLS_CA_FILE: '/ca.pem',
      QUEUE_REDIS_URL: 'redis://127.0.0.1:6379/2',
    });
    expect(value?.redisUrl).toBe(`${ENV.REDIS_URL}?ssl_ca_certs=%2Fca.pem`);
    expect(value?.queueRedisUrl).toBe('redis://127.0.0.1:6379/2');
    expect(valueOf({ REDIS_TLS_CA_FILE: '/ca.pem' })?.queueRedisUrl).toBe(value?.redisUrl);
  });

  it('are checked with everything else, and no password is shown', () => {
    const { problems } = checkEnvironment({ ...ENV, PGSSLMODE: 'requir', LOG_LEVEL: 'loud' });
    expect(problems).toEqual([
      expect.stringMatching(
        /^DATABASE_URL: sslmode "requir" is none of .*did you mean "require"\?$/,
      ),
      expect.stringMatching(/^LOG_LEVEL/),
    ]);
    expect(problems.join()).not.toContain('s3cret');
  });
});
