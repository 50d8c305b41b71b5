import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Services, startServices } from '../../../ops/services/start.ts';
import { PurgeError } from '../../../src/domain/errors.ts';
import { inheritRedisCa } from '../../../src/domain/redis-tls.ts';
import { connectRedis } from '../../../src/redis/connect.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { until } from '../../support/until.ts';

const PASSWORD = 'a-secret';

let certificates: TestCertificates;
/** Speaks TLS only; its certificate is for `localhost`, not for 127.0.0.1. */
let services: Services;
let folder: string;

beforeAll(async () => {
  certificates = makeCertificates('localhost');
  folder = mkdtempSync(join(tmpdir(), 'redis-tls-'));
  services = await startServices({
    dataDir: folder,
    ephemeral: true,
    postgres: false,
    redis: { tls: certificates.server },
  });
});

afterAll(async () => {
  await services?.stop();
  certificates?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const urlOf = (options: { host?: string; caFile?: string; protocol?: string } = {}): string => {
  const { host = 'localhost', caFile = null, protocol = 'rediss' } = options;
  const { port } = new URL(services.redisUrl);
  return inheritRedisCa(`${protocol}://:${PASSWORD}@${host}:${port}/1`, caFile);
};

async function refusal(url: string): Promise<PurgeError> {
  try {
    (await connectRedis(url, { name: 'test' })).disconnect();
  } catch (thrown) {
    if (thrown instanceof PurgeError) {
      expect(JSON.stringify(thrown.toReport())).not.toContain(PASSWORD);
      return thrown;
    }
    throw thrown;
  }
  throw new Error('it was accepted');
}

describe('rediss://', () => {
  it('connects where the CA of REDIS_TLS_CA_FILE vouches for the host name', async () => {
    const redis = await connectRedis(urlOf({ caFile: certificates.caFile }), { name: 'test' });
    try {
      expect(await redis.ping()).toBe('PONG');
      expect(await redis.client('INFO')).toContain('db=1');
    } finally {
      redis.disconnect();
    }
  });

  it('refuses a certificate of an unknown CA, and says how to name it', async () => {
    for (const url of [urlOf(), urlOf({ caFile: certificates.otherCaFile })]) {
      const error = await refusal(url);
      expect(error.code).toBe('REDIS_UNREACHABLE');
      expect(error.message).toContain('certificate is not trusted');
      expect(error.remedy).toContain('REDIS_TLS_CA_FILE');
    }
  });

  it('refuses a certificate for another name, and says which', async () => {
    const error = await refusal(urlOf({ host: '127.0.0.1', caFile: certificates.caFile }));
    expect(error.code).toBe('REDIS_UNREACHABLE');
    expect(error.message).toContain('certificate is for another name');
    expect(error.message).toContain('127.0.0.1');
    expect(error.remedy).toContain('host name');
  });

  it('names the file that cannot be read', async () => {
    const error = await refusal(urlOf({ caFile: '/nowhere/ca.pem' }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain('/nowhere/ca.pem cannot be read (ENOENT)');
  });

  it('to a port without TLS, and redis:// to one with it, say what is the matter', async () => {
    const clear = inject('redisUrl').replace('redis:', 'rediss:');
    const error = await refusal(clear);
    expect(error.message).toContain('no answer within 5 s');
    expect(error.remedy).toContain('redis://');
    const other = await refusal(urlOf({ protocol: 'redis' }));
    expect(other.message).toContain('does it want rediss://?');
    expect(other.remedy).toContain('rediss://');
  });
});

it('A login refused on reconnecting is reported without the password', async () => {
  const admin = new Redis(urlOf({ caFile: certificates.caFile }).replace(`:${PASSWORD}@`, ''), {
    tls: { rejectUnauthorized: false },
  });
  const errors: Error[] = [];
  const redis = await connectRedis(urlOf({ caFile: certificates.caFile }), {
    name: 'reconnects',
    onError: (error) => errors.push(error),
  });
  try {
    await admin.config('SET', 'requirepass', 'another');
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
    const told = await until(
      'the refused login is reported',
      10_000,
      () => errors.find(({ message }) => message.includes('WRONGPASS')) ?? null,
    );
    expect(inspect(told, { depth: 5 })).not.toContain(PASSWORD);
  } finally {
    redis.disconnect();
    await admin.call('AUTH', 'another').catch(() => undefined);
    await admin.config('SET', 'requirepass', '').catch(() => undefined);
    admin.disconnect();
  }
});
