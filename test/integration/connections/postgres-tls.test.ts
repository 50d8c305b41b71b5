import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Services, startServices } from '../../../ops/services/start.ts';
import { PurgeError } from '../../../src/domain/errors.ts';
import { openDatabase } from '../../../src/postgres/database.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';

/** What a URL's connection came to. */
interface Opened {
  readonly encrypted: boolean;
  readonly warnings: readonly string[];
}

let certificates: TestCertificates;
/** Lets nobody in without TLS; its certificate is for `localhost`, not for 127.0.0.1. */
let tlsOnly: Services;
let folder: string;

beforeAll(async () => {
  certificates = makeCertificates('localhost');
  folder = mkdtempSync(join(tmpdir(), 'postgres-tls-'));
  tlsOnly = await startServices({
    dataDir: folder,
    ephemeral: true,
    redis: false,
    postgres: {
      settings: { fsync: 'off', shared_buffers: '16MB' },
      tls: certificates.server,
      tlsOnly: true,
    },
  });
});

afterAll(async () => {
  await tlsOnly?.stop();
  certificates?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const urlOf = (
  base: string,
  parameters: Readonly<Record<string, string>>,
  host?: string,
): string => {
  const url = new URL(base);
  if (host !== undefined) url.hostname = host;
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
};

/** The TLS-only server, by a name. */
const tlsUrl = (parameters: Readonly<Record<string, string>>, host = 'localhost'): string =>
  urlOf(tlsOnly.databaseUrl, parameters, host);
/** The run's own server, which has no TLS. */
const clearUrl = (parameters: Readonly<Record<string, string>>): string =>
  urlOf(inject('databaseUrl'), parameters);

async function open(url: string): Promise<Opened> {
  const warnings: string[] = [];
  const database = await openDatabase({
    url,
    connectionsMax: 3,
    applicationName: 'test tls',
    onWarning: (warning) => warnings.push(warning),
  });
  try {
    // Three connections at once: a warning is for the database, not for each of them.
    const answers = await Promise.all(
      [1, 2, 3].map(() =>
        database.pool.query(
          'select ssl, pg_sleep(0.05) from pg_stat_ssl where pid = pg_backend_pid()',
        ),
      ),
    );
    return { encrypted: answers.every(({ rows }) => rows[0]?.ssl === true), warnings };
  } finally {
    await database.close();
  }
}

async function refusal(url: string): Promise<PurgeError> {
  try {
    await open(url);
  } catch (thrown) {
    if (thrown instanceof PurgeError) {
      expect(JSON.stringify(thrown.toReport())).not.toContain(':password@');
      return thrown;
    }
    throw thrown;
  }
  throw new Error('it was accepted');
}

const UNVERIFIED = expect.stringContaining('not verified');

describe('sslmode=require', () => {
  it('encrypts, whoever answers, and says so once', async () => {
    expect(await open(tlsUrl({ sslmode: 'require' }))).toEqual({
      encrypted: true,
      warnings: [UNVERIFIED],
    });
  });

  it('means the same with uselibpqcompat, and as the driver spells it', async () => {
    const same = { encrypted: true, warnings: [UNVERIFIED] };
    expect(await open(tlsUrl({ sslmode: 'require', uselibpqcompat: 'true' }))).toEqual(same);
    expect(await open(tlsUrl({ sslmode: 'no-verify' }))).toEqual(same);
  });

  it('verifies the CA where one is named, as libpq does', async () => {
    const { caFile, otherCaFile } = certificates;
    expect(await open(tlsUrl({ sslmode: 'require', sslrootcert: caFile }, '127.0.0.1'))).toEqual({
      encrypted: true,
      warnings: [],
    });
    const { message } = await refusal(tlsUrl({ sslmode: 'require', sslrootcert: otherCaFile }));
    expect(message).toContain('not trusted');
  });

  it('is refused by a server without TLS, and not given up for it', async () => {
    const error = await refusal(clearUrl({ sslmode: 'require' }));
    expect(error.code).toBe('DATABASE_UNREACHABLE');
    expect(error.message).toContain('has no TLS');
    expect(error.remedy).toContain('sslmode=disable');
  });

  it('does not take the word of something that is no PostgreSQL', async () => {
    const server = await listen('HTTP/1.1 400 Bad Request\r\n\r\n');
    try {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const url = `postgres://app:password@127.0.0.1:${port}/app?sslmode=require`;
      expect((await refusal(url)).code).toBe('DATABASE_UNREACHABLE');
    } finally {
      server.close();
    }
  });
});

describe('sslmode=verify-full', () => {
  it('accepts the CA of sslrootcert and the name in the certificate, without a warning', async () => {
    const url = tlsUrl({ sslmode: 'verify-full', sslrootcert: certificates.caFile });
    expect(await open(url)).toEqual({ encrypted: true, warnings: [] });
  });

  it('refuses a certificate of an unknown CA, and says how to name it', async () => {
    for (const rootFile of [null, certificates.otherCaFile]) {
      const url = tlsUrl({
        sslmode: 'verify-full',
        ...(rootFile === null ? {} : { sslrootcert: rootFile }),
      });
      const error = await refusal(url);
      expect(error.code).toBe('DATABASE_UNREACHABLE');
      expect(error.message).toContain('not trusted');
      expect(error.remedy).toContain('sslmode=verify-full&sslrootcert=');
    }
  });

  it('refuses a certificate for another name, and says which', async () => {
    const parameters = { sslmode: 'verify-full', sslrootcert: certificates.caFile };
    const error = await refusal(tlsUrl(parameters, '127.0.0.1'));
    expect(error.code).toBe('DATABASE_UNREACHABLE');
    expect(error.message).toContain('not for "127.0.0.1"');
    expect(error.remedy).toContain('sslmode=verify-ca');
  });

  it('names the file that cannot be read', async () => {
    const error = await refusal(tlsUrl({ sslmode: 'verify-full', sslrootcert: '/nowhere/ca.pem' }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toBe('sslrootcert: /nowhere/ca.pem cannot be read (ENOENT).');
  });

  it('is what a CA, or ssl=true, without sslmode stands for', async () => {
    expect(await open(tlsUrl({ sslrootcert: certificates.caFile }))).toEqual({
      encrypted: true,
      warnings: [],
    });
    expect((await refusal(tlsUrl({ ssl: 'true' }))).message).toContain('not trusted');
  });
});

describe('sslmode=verify-ca', () => {
  it('accepts any name of the CA, and no other CA', async () => {
    const { caFile, otherCaFile } = certificates;
    expect(await open(tlsUrl({ sslmode: 'verify-ca', sslrootcert: caFile }, '127.0.0.1'))).toEqual({
      encrypted: true,
      warnings: [],
    });
    const error = await refusal(tlsUrl({ sslmode: 'verify-ca', sslrootcert: otherCaFile }));
    expect(error.message).toContain('not trusted');
  });
});

describe('sslmode=prefer', () => {
  it('encrypts where the server has TLS, does without where it has none, and says which', async () => {
    expect(await open(tlsUrl({ sslmode: 'prefer' }))).toEqual({
      encrypted: true,
      warnings: [UNVERIFIED],
    });
    expect(await open(clearUrl({ sslmode: 'prefer' }))).toEqual({
      encrypted: false,
      warnings: [expect.stringContaining('not encrypted')],
    });
  });

  it('tries nothing in the clear with a wrong password', async () => {
    const url = new URL(tlsUrl({ sslmode: 'prefer' }));
    url.password = 'wrong';
    const error = await refusal(url.href);
    expect(error.message).toContain('password authentication failed');
  });
});

describe('sslmode=disable, and no sslmode', () => {
  it('connects in the clear, without a warning', async () => {
    const clear = { encrypted: false, warnings: [] };
    expect(await open(clearUrl({ sslmode: 'disable' }))).toEqual(clear);
    expect(await open(clearUrl({}))).toEqual(clear);
  });

  it('says what to set where the server wants TLS', async () => {
    for (const parameters of [{ sslmode: 'disable' }, {}]) {
      const error = await refusal(tlsUrl(parameters, '127.0.0.1'));
      expect(error.code).toBe('DATABASE_REFUSED');
      expect(error.message).toContain('no encryption');
      expect(error.remedy).toContain('sslmode=require');
    }
  });
});

it('a certificate that is out of date is refused as that', async () => {
  const old = makeCertificates('localhost', { startsInDays: -3 });
  const where = mkdtempSync(join(tmpdir(), 'postgres-old-'));
  const services = await startServices({
    dataDir: where,
    ephemeral: true,
    redis: false,
    postgres: { settings: { fsync: 'off', shared_buffers: '16MB' }, tls: old.server },
  });
  try {
    const url = urlOf(
      services.databaseUrl,
      { sslmode: 'verify-full', sslrootcert: old.caFile },
      'localhost',
    );
    const error = await refusal(url);
    expect(error.message).toContain('out of date');
    expect(error.remedy).toContain('Renew');
  } finally {
    await services.stop();
    old.remove();
    rmSync(where, { recursive: true, force: true });
  }
});

function listen(answer: string): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    });
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
