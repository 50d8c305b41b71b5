import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Services, startServices } from '../../../ops/services/start.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { type CliResult, spawnCli } from '../../support/cli.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { until } from '../../support/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../../support/worker-process.ts';

const CONFIGURATION = {
  tenant: { table: 'public.tenants' },
  redis: { keys: ['tenant:{tenantId}:*'], waitMs: 0 },
  worker: { slots: 2, lockMs: 2_000, reconcileMs: 300 },
};

/** PostgreSQL lets nobody in without TLS, Redis speaks nothing else. */
let services: Services;
let certificates: TestCertificates;
let folder: string;
let configFile: string;
let pool: Pool;
let worker: WorkerProcess | null = null;

beforeAll(async () => {
  certificates = makeCertificates('localhost');
  folder = mkdtempSync(join(tmpdir(), 'encrypted-'));
  services = await startServices({
    dataDir: join(folder, 'services'),
    ephemeral: true,
    postgres: {
      settings: { fsync: 'off', shared_buffers: '32MB' },
      tls: certificates.server,
      tlsOnly: true,
    },
    redis: { tls: certificates.server },
  });
  configFile = join(folder, 'purge.config.json');
  writeFileSync(configFile, JSON.stringify(CONFIGURATION));
  const url = databaseUrl({ sslmode: 'no-verify' });
  await createSmallApplication(url);
  for (const id of ['kept', 'a', 'b']) await addTenant(url, id, 5);
  pool = new Pool({ connectionString: url, max: 1 });
});

afterAll(async () => {
  worker?.kill('SIGKILL');
  await worker?.exited;
  await pool?.end();
  await services?.stop();
  certificates?.remove();
  rmSync(folder, { recursive: true, force: true });
});

function databaseUrl(parameters: Readonly<Record<string, string>>): string {
  const url = new URL(services.databaseUrl);
  url.hostname = 'localhost';
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

const environment = (tls: Readonly<Record<string, string>>): Record<string, string> => ({
  DATABASE_URL: databaseUrl(tls),
  REDIS_URL: services.redisUrl.replace('127.0.0.1', ':unused@localhost'),
  ENVIRONMENT: 'test',
  NODE_EXTRA_CA_CERTS: certificates.caFile,
});

const run = (argv: readonly string[], env: Record<string, string>): Promise<CliResult> =>
  spawnCli([...argv, '--config', configFile], env).result;

const purgeOf = async (tenantId: string): Promise<string | undefined> => {
  const { rows } = await pool.query('select status from tenant_purge.purge where tenant_id = $1', [
    tenantId,
  ]);
  return rows[0]?.status;
};

/** Every line that a process has written about unverified TLS. */
const warnings = (log: string): string[] =>
  log.split('\n').filter((line) => line.includes('not verified'));

/** From enqueue to verify, in processes of their own. */
async function purge(tenantId: string, env: Record<string, string>): Promise<CliResult> {
  const confirm = ['--no-archive', '--confirm', `DELETE ${tenantId} FOREVER`];
  const enqueued = await run(['enqueue', '--tenant', tenantId, ...confirm], env);
  expect(enqueued).toMatchObject({ exitCode: 0 });
  worker = await startWorkerProcess(CONFIGURATION, env);
  await worker.ready;
  await until(
    'the purge is completed',
    30_000,
    async () => ((await purgeOf(tenantId)) === 'completed' ? true : null),
    async () => worker?.log() ?? '',
  );
  worker.kill('SIGTERM');
  expect(await worker.exited).toMatchObject({ code: 0 });
  expect(await run(['verify', tenantId], env)).toMatchObject({ exitCode: 0 });
  return enqueued;
}

describe('Where PostgreSQL and Redis want TLS', () => {
  it('a purge runs with verified certificates, without a warning', async () => {
    const env = environment({ sslmode: 'verify-full', sslrootcert: certificates.caFile });
    expect(await run(['doctor'], env)).toMatchObject({ exitCode: 0 });
    const { stderr } = await purge('a', env);
    expect(warnings(stderr)).toEqual([]);
    expect(warnings(worker?.log() ?? '')).toEqual([]);
    const { rows } = await pool.query(
      'select bool_and(s.ssl) as every from pg_stat_ssl s join pg_stat_activity using (pid)' +
        " where application_name like 'tenant-purge%'",
    );
    expect(rows[0]?.every ?? true).toBe(true);
  });

  it('sslmode=require gives one warning a process, and never the password', async () => {
    const { NODE_EXTRA_CA_CERTS: caFile = '', ...env } = environment({ sslmode: 'require' });
    const { stderr } = await purge('b', { ...env, REDIS_TLS_CA_FILE: caFile });
    for (const log of [stderr, worker?.log() ?? '']) {
      expect(warnings(log)).toHaveLength(1);
      expect(log).not.toContain('postgres:password');
    }
  });
});
