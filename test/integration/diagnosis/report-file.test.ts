import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, runInProcess } from '../../support/cli.ts';
import { withClient } from '../../support/diagnosis-application.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../../support/redis.ts';

describe('The file of a report', () => {
  let database: TestDatabase;
  let redis: TestRedisDatabase;
  let folder: string;

  beforeAll(async () => {
    [database, redis, folder] = await Promise.all([
      createDatabase({ name: 'diagnosis_file' }),
      claimRedisDatabase(),
      mkdtemp(join(tmpdir(), 'diagnosis-file-')),
    ]);
    await withClient(database.url, (client) =>
      client.query(`create table tenants (id int primary key, is_test boolean, created_at timestamptz);
        create table posts (tenant_id int not null references tenants, sent_at timestamptz);
        insert into tenants select n, n <= 3, '2020-01-01' from generate_series(1, 4) n;
        insert into tenants values (5, true, now());`),
    );
    const config = { tenant: { table: 'public.tenants' }, keep: ['4'] };
    await writeFile(join(folder, 'purge.config.json'), JSON.stringify(config));
  });

  afterAll(async () => {
    await Promise.all([
      database?.drop(),
      redis?.release(),
      rm(folder, { recursive: true, force: true }),
    ]);
  });

  const run = (...argv: string[]): Promise<CliResult> =>
    runInProcess([...argv, '--config', 'purge.config.json'], {
      env: { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' },
      cwd: folder,
    });

  it('takes the place of an earlier one, whatever a killed run of the same process id left', async () => {
    await writeFile(join(folder, `report.json.${process.pid}.unfinished`), '{');
    await writeFile(join(folder, 'report.json'), 'earlier');
    const made = await run('diagnose', '--out', 'report.json');
    expect(made.stdout).toContain('(just-created, ');
    expect(made).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
    expect(JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))).toMatchObject({
      kind: 'diagnosis',
      environment: 'test',
      tenantTable: 'public.tenants',
      totals: { recommended: { purge: 3, review: 1, keep: 1 } },
    });
    expect((await readdir(folder)).filter((name) => name.endsWith('.unfinished'))).toHaveLength(1);
  });

  it('is not written over a folder, and not before anything was looked at', async () => {
    await mkdir(join(folder, 'reports'));
    const { exitCode, stderr } = await run('diagnose', '--out', 'reports');
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/USAGE: --out: .*reports is a folder/);
  });

  it('names tenants that enqueue looks up again: one that is gone since is refused', async () => {
    expect((await run('diagnose', '--out', 'gone.json')).exitCode).toBe(0);
    await withClient(database.url, (client) => client.query('delete from tenants where id = 2'));
    const { exitCode, stdout } = await run('enqueue', '--from', 'gone.json', '--dry-run', '--json');
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout).refused).toMatchObject([{ tenantId: '2', code: 'TENANT_UNKNOWN' }]);
  });

  it('is refused where it was cut short, or says something else than it can', async () => {
    expect((await run('diagnose', '--out', 'whole.json')).exitCode).toBe(0);
    const whole = await readFile(join(folder, 'whole.json'), 'utf8');
    await writeFile(join(folder, 'cut.json'), whole.slice(0, whole.indexOf('"totals"')));
    await writeFile(join(folder, 'typo.json'), whole.replace('"purge"', '"prge"'));
    for (const file of ['cut.json', 'typo.json']) {
      const { exitCode, stderr } = await run('enqueue', '--from', file, '--dry-run');
      expect([file, exitCode]).toEqual([file, 2]);
      expect(stderr).toContain('USAGE');
    }
  });
});
