import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO, listTestTenantIds, seedApplication } from '../../../ops/demo/app/seed.ts';
import { type CliResult, runInProcess } from '../../support/cli.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../../support/redis.ts';

/** Later than all that the demo's tenants did, whatever the clock says. */
const AS_OF = '2027-01-01T00:00:00Z';
const GONE = 'aaaaaaaa-0000-4000-8000-000000000009';
const demoConfig = fileURLToPath(new URL('../../../ops/demo/purge.config.json', import.meta.url));

interface Entry {
  readonly tenantId: string;
  readonly recommendation: string;
  readonly reasons: readonly string[];
}

describe('Diagnosis of the demo application', () => {
  let database: TestDatabase;
  let redis: TestRedisDatabase;
  let folder: string;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    [database, redis, folder] = await Promise.all([
      createDatabase({ name: 'diagnosis_demo' }),
      claimRedisDatabase(),
      mkdtemp(join(tmpdir(), 'diagnosis-')),
    ]);
    env = { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
    await seedApplication(database.url);
    const client = new Redis(redis.url);
    await client.mset(
      Object.fromEntries(
        [
          `tenant:${GONE}:a`,
          `tenant:${GONE}:b`,
          `ratelimit:${GONE}`,
          `tenant:${listTestTenantIds()[0]}:a`,
          'tenant:settings:a',
          'bull:tenant-purge:meta',
          'session:1',
        ].map((key) => [key, '1']),
      ),
    );
    client.disconnect();
  });

  afterAll(async () => {
    await Promise.all([
      database?.drop(),
      redis?.release(),
      rm(folder, { recursive: true, force: true }),
    ]);
  });

  const diagnose = (...argv: string[]): Promise<CliResult> =>
    runInProcess(['diagnose', '--as-of', AS_OF, '--config', demoConfig, ...argv], {
      env,
      cwd: folder,
    });

  it('recommends exactly its 1,845 test tenants for purge, and protects the others', async () => {
    const { exitCode, stdout, stderr } = await diagnose('--json');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const report = JSON.parse(stdout);
    const entries: Entry[] = report.tenants;
    const ids = (wanted: string): string[] =>
      entries
        .filter(({ recommendation }) => recommendation === wanted)
        .map(({ tenantId }) => tenantId)
        .sort();
    expect(ids('purge')).toEqual(listTestTenantIds().sort());
    expect(ids('purge')).toHaveLength(1_845);
    expect(ids('keep')).toEqual(DEMO.kept.map(({ id }) => id).sort());
    expect(ids('review')).toEqual([]);
    expect(report.totals).toMatchObject({
      tenants: 1_848,
      testTenants: 1_845,
      suspicious: 1_845,
      withoutAgents: 0,
    });
    expect(report.redis).toEqual({ counted: true, keys: 3, tenants: 1, samples: [GONE] });
    expect(report.dangling).toEqual([]);
  });

  it('would not purge the others either if nobody had protected them', async () => {
    const config = join(folder, 'unprotected.json');
    const { keep: _, ...rest } = JSON.parse(await readFile(demoConfig, 'utf8'));
    await writeFile(config, JSON.stringify(rest));
    const { stdout } = await runInProcess(
      ['diagnose', '--as-of', AS_OF, '--config', config, '--json'],
      { env },
    );
    const entries: Entry[] = JSON.parse(stdout).tenants;
    const kept = new Set<string>(DEMO.kept.map(({ id }) => id));
    expect(
      entries
        .filter(({ tenantId }) => kept.has(tenantId))
        .map(({ recommendation, reasons }) => [recommendation, reasons[0]]),
    ).toEqual(DEMO.kept.map(() => ['review', 'one-kind']));
  });

  it('recommends nobody for purge who was active within the last 90 days', async () => {
    const { stdout } = await runInProcess(
      ['diagnose', '--as-of', '2025-06-01T00:00:00Z', '--config', demoConfig, '--json'],
      { env },
    );
    const entries: Entry[] = JSON.parse(stdout).tenants;
    const reviewed = entries.filter(({ reasons }) => reasons.includes('recent-activity'));
    expect(reviewed.length).toBeGreaterThan(300);
    expect(new Set(reviewed.map(({ recommendation }) => recommendation))).toEqual(
      new Set(['review']),
    );
  });

  it('writes a report for its owner alone, of which enqueue takes what is recommended', async () => {
    const made = await runInProcess(['diagnose', '--out', 'report.json', '--config', demoConfig], {
      env,
      cwd: folder,
    });
    expect(made).toMatchObject({ exitCode: 0, stderr: '' });
    expect(made.stdout).toContain('Next: tenant-purge enqueue --from report.json --dry-run');
    const path = join(folder, 'report.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);

    const options = { env, cwd: folder };
    const argv = [
      'enqueue',
      '--from',
      'report.json',
      '--dry-run',
      '--json',
      '--config',
      demoConfig,
    ];
    const accepted = await runInProcess(argv, options);
    const document = JSON.parse(accepted.stdout);
    expect(document.refused).toEqual([]);
    // By today's clock, which may stand before the last of them was inactive for long enough.
    const entries: Entry[] = JSON.parse(await readFile(path, 'utf8')).tenants;
    const recommended = entries.filter(({ recommendation }) => recommendation === 'purge');
    expect(recommended.length).toBeGreaterThan(0);
    expect(document.purges.map(({ tenantId }: Entry) => tenantId).sort()).toEqual(
      recommended.map(({ tenantId }) => tenantId).sort(),
    );
  });

  it('shows people the counts, and leaves a report with --as-of out of a campaign', async () => {
    const made = await diagnose('--out', 'what-if.json');
    expect(made.stdout).toContain('purge 1,845, review 0, keep 3');
    const refused = await runInProcess(
      ['enqueue', '--from', 'what-if.json', '--dry-run', '--config', demoConfig],
      { env, cwd: folder },
    );
    expect(refused.exitCode).toBe(3);
    expect(refused.stderr).toContain('TARGETS_REFUSED: The report speaks of 2027-01-01');
  });

  it('writes a report of one database, which enqueue refuses in another', async () => {
    const other = await createDatabase({ name: 'diagnosis_other' });
    try {
      await seedApplication(other.url, { scale: 0.01 });
      const refused = await runInProcess(
        ['enqueue', '--from', 'report.json', '--dry-run', '--config', demoConfig],
        { env: { ...env, DATABASE_URL: other.url }, cwd: folder },
      );
      expect(refused.exitCode).toBe(3);
      expect(refused.stderr).toContain('TARGETS_REFUSED: The report was made from database');
    } finally {
      await other.drop();
    }
  });

  it('leaves no file where it is interrupted', async () => {
    const stopped = await runInProcess(
      ['diagnose', '--out', 'stopped.json', '--config', demoConfig],
      { env, cwd: folder, interrupted: AbortSignal.timeout(50) },
    );
    expect(stopped.exitCode).toBe(130);
    expect((await readdir(folder)).filter((name) => name.startsWith('stopped'))).toEqual([]);
  });

  it('leaves no file where it fails', async () => {
    const { exitCode, stderr } = await runInProcess(
      ['diagnose', '--out', 'none.json', '--config', demoConfig],
      { env: { ...env, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }, cwd: folder },
    );
    expect(exitCode).toBe(2);
    expect(stderr).toContain('DATABASE_UNREACHABLE');
    expect((await readdir(folder)).filter((name) => name.startsWith('none'))).toEqual([]);
  });
});
