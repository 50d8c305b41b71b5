import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planDocumentSchema } from '../../ops/cli/output/plan-document.ts';
import { seedApplication, seedRedis } from '../../ops/demo/app/seed.ts';
import { runForJson, runInProcess } from '../support/cli.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const SIZE = { scale: 0.01, seed: 7 };
const demoConfig = fileURLToPath(new URL('../../ops/demo/purge.config.json', import.meta.url));
const plan = (...argv: string[]): string[] => ['plan', ...argv, '--config', demoConfig];

let database: TestDatabase;
let redis: TestRedisDatabase;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  database = await createDatabase({ name: 'plan' });
  redis = await claimRedisDatabase();
  await seedApplication(database.url, SIZE);
  await seedRedis(redis.url, SIZE);
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
});

afterAll(async () => {
  await database?.drop();
  await redis?.release();
});

describe('plan --json', () => {
  it.each([[[]], [['--counts']]])('fits its schema to the last key, with %j', async (argv) => {
    const { exitCode, document } = await runForJson(plan(...argv), { env });
    expect(exitCode).toBe(0);
    expect(planDocumentSchema.parse(document)).toEqual(document);
    expect('rows' in document).toBe(argv.length > 0);
  });
});

describe('plan --graph', () => {
  it.each([
    [['--graph'], /^flowchart LR\n/],
    [['--graph', 'mermaid'], /^flowchart LR\n/],
    [['--graph', 'dot'], /^digraph plan \{\n[^]*\n\}\n$/],
  ])('writes the drawing and nothing else, with %j', async (argv, text) => {
    const { exitCode, stdout, stderr } = await runInProcess(plan(...argv), { env });
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(text);
    expect(stdout).toContain('public.canvas_snapshots');
    expect(stdout).not.toContain('Fingerprint');
  });

  it('gives the same text as JSON', async () => {
    const { document } = await runForJson(plan('--graph', 'dot'), { env });
    const { stdout } = await runInProcess(plan('--graph', 'dot'), { env });
    expect(document).toEqual({ graph: { format: 'dot', text: stdout.trimEnd() } });
  });

  it('refuses a format that it does not know, and counts, as mistakes of usage', async () => {
    const unknown = await runForJson(plan('--graph', 'svg'), { env });
    expect(unknown).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'USAGE', message: '--graph: It must be mermaid or dot.' } },
    });
    const counted = await runForJson(plan('--graph', '--counts'), { env });
    expect(counted).toMatchObject({ exitCode: 2, document: { error: { code: 'USAGE' } } });
  });
});

describe('a plan as a role that may read nothing', () => {
  it.each([[[]], [['--counts']]])(
    'names every grant that is missing, whether it was to count or not: %j',
    async (argv) => {
      const role = `plan_${randomBytes(4).toString('hex')}`;
      const owner = new Client({ connectionString: database.url });
      await owner.connect();
      try {
        await owner.query(`create role ${role} login password 'of-the-test';
          revoke usage on schema public from public;`);
        const url = new URL(database.url);
        url.username = role;
        url.password = 'of-the-test';
        const asRole = { env: { ...env, DATABASE_URL: url.href } };
        const { exitCode, document } = await runForJson(plan(...argv), asRole);
        const found = planDocumentSchema.parse(document);
        expect(exitCode).toBe(0);
        const missing = found.hazards.filter(({ type }) => type === 'MISSING_PRIVILEGE');
        const deleted = found.levels.flatMap(({ tables }) => tables.map(({ table }) => table));
        expect(missing.map(({ table }) => table)).toEqual(expect.arrayContaining(deleted));
        expect(missing[0]?.remedy).toContain(`GRANT USAGE ON SCHEMA public TO ${role}`);
        const { stdout } = await runInProcess(plan(...argv), asRole);
        expect(stdout.includes('Nothing was counted')).toBe(argv.length > 0);
        const dryRun = ['enqueue', '--tenant', 'nobody', '--dry-run', '--config', demoConfig];
        const refusal = await runForJson(dryRun, asRole);
        expect(refusal).toMatchObject({
          exitCode: 3,
          document: { dryRun: true, purges: [], error: { code: 'HAZARD_BLOCKS' } },
        });
        const errors = JSON.stringify(refusal.document);
        for (const { message } of missing)
          expect(errors).toContain(JSON.stringify(message).slice(1, -1));
      } finally {
        await owner.query(`grant usage on schema public to public; drop role ${role};`);
        await owner.end();
      }
    },
  );
});
