import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runForJson, runInProcess } from '../support/cli.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';
import { createForest } from '../support/tenant-forest.ts';

let database: TestDatabase;
let redis: TestRedisDatabase;
let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  database = await createDatabase({ name: 'cli_tree' });
  redis = await claimRedisDatabase();
  await createForest(database.url);
  folder = mkdtempSync(join(tmpdir(), 'cli-tree-'));
  const configuration = { tenant: { table: 'public.tenants' } };
  writeFileSync(join(folder, 'purge.config.json'), JSON.stringify(configuration));
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await database?.drop();
  await redis?.release();
});

const left = ['enqueue', '--tenant', 'left', '--with-descendants'];
const options = (more: NodeJS.ProcessEnv = {}) => ({ env: { ...env, ...more }, cwd: folder });

describe('enqueue --with-descendants', () => {
  it('shows in a dry run who goes with whom, and the command that does it', async () => {
    const { exitCode, stdout } = await runInProcess([...left, '--dry-run'], options());
    expect(exitCode).toBe(0);
    expect(stdout).toContain('4 tenants would be purged');
    expect(stdout).toMatch(/ leaf {2}.*, 2 levels below left/);
    expect(stdout).toMatch(/ left1 {2}.*, 1 level below left/);
    expect(stdout).toMatch(/ left {2}.*rows\)\n/);
    expect(stdout).toContain("--tenant left --with-descendants --confirm 'DELETE 4");
  });

  it('has the same in JSON, the lowest first', async () => {
    const { document } = await runForJson([...left, '--dry-run'], options());
    const purges = document['purges'] as { tenantId: string; below?: string; depth?: number }[];
    expect(purges.map(({ tenantId, below, depth }) => [tenantId, below, depth])).toEqual([
      ['left2', 'left', 1],
      ['leaf', 'left', 2],
      ['left1', 'left', 1],
      ['left', undefined, undefined],
    ]);
  });

  it('enqueues nobody where one below is kept, and exits 3', async () => {
    const { exitCode, stderr } = await runInProcess(
      [...left, '--no-archive', '--confirm', 'DELETE 3 TENANTS FOREVER'],
      options({ KEEP_TENANT_ID: 'leaf' }),
    );
    expect(exitCode).toBe(3);
    expect(stderr.replaceAll(/\s+/g, ' ')).toMatch(/TENANT_KEPT leaf .* left .* above it would go/);
  });

  it('asks for the phrase that counts them all; status then says what a purge waits for', async () => {
    const enqueue = [...left, '--no-archive', '--confirm'];
    expect((await runInProcess([...enqueue, 'DELETE left FOREVER'], options())).exitCode).toBe(3);
    const { exitCode, document } = await runForJson(
      [...enqueue, 'DELETE 4 TENANTS FOREVER'],
      options(),
    );
    expect(exitCode).toBe(0);
    const purges = document['purges'] as { tenantId: string; purgeId: string }[];
    expect(purges.map(({ tenantId }) => tenantId)).toEqual(['left2', 'leaf', 'left1', 'left']);
    const status = await runInProcess(['status', 'left'], options());
    expect(status.stdout).toContain('waits for 3 purges of tenants below it');
    const shown = await runForJson(['status', 'left'], options());
    const below = purges.filter(({ tenantId }) => ['left1', 'left2'].includes(tenantId));
    expect(shown.document['purges']).toMatchObject([
      { waitsFor: expect.arrayContaining(below.map(({ purgeId }) => purgeId)) },
    ]);
  });
});
