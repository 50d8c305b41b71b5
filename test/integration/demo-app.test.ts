import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createApplication,
  DEMO,
  listTestTenantIds,
  seedApplication,
  seedRedis,
} from '../../ops/demo/app/seed.ts';
import { createDatabase } from '../support/postgres.ts';
import { claimRedisDatabase } from '../support/redis.ts';

const SIZE = { scale: 0.01, seed: 7 };
const TEST_TENANTS = 18;
const TENANTS = TEST_TENANTS + DEMO.kept.length;

interface SeededDatabase {
  readonly url: string;
  readonly client: Client;
  readonly drop: () => Promise<void>;
}

describe('the demo application', () => {
  let first: SeededDatabase;
  let second: SeededDatabase;

  beforeAll(async () => {
    [first, second] = await Promise.all([seedDatabase(SIZE), seedDatabase(SIZE)]);
  });

  afterAll(async () => {
    await Promise.all([first?.drop(), second?.drop()]);
  });

  it('gives byte-identical tables for the same seed', async () => {
    const digests = await digestTables(first.client);
    expect(digests.size).toBe(29);
    expect(await digestTables(second.client)).toEqual(digests);
  });

  it('gives other rows for another seed', async () => {
    const other = await seedDatabase({ ...SIZE, seed: 8 });
    try {
      const digests = await digestTables(other.client);
      const table = 'public.agents';
      expect(digests.get(table)).not.toBe((await digestTables(first.client)).get(table));
    } finally {
      await other.drop();
    }
  });

  it('is the same after it was seeded twice', async () => {
    const before = await digestTables(second.client);
    await seedApplication(second.url, SIZE);
    expect(await digestTables(second.client)).toEqual(before);
  });

  it('has the kept tenants and the promised number of test tenants with 2 to 10 agents', async () => {
    const tenants = await first.client.query<{ id: string; test_tenant: boolean; agents: number }>(
      `SELECT t.id, t.test_tenant, count(a.id)::int AS agents
       FROM public.tenants t LEFT JOIN public.agents a ON a.tenant_id = t.id GROUP BY t.id ORDER BY t.created_at`,
    );
    const idsOf = (test: boolean) =>
      tenants.rows.filter((tenant) => tenant.test_tenant === test).map((tenant) => tenant.id);
    expect(idsOf(false)).toEqual(DEMO.kept.map((tenant) => tenant.id));
    expect(idsOf(true)).toEqual(listTestTenantIds(SIZE));
    expect(idsOf(true)).toHaveLength(TEST_TENANTS);
    const agents = tenants.rows.filter((tenant) => tenant.test_tenant).map((row) => row.agents);
    expect([Math.min(...agents), Math.max(...agents)]).toEqual([2, 10]);
  });

  it('gives every tenant, kept ones too, rows in every table that has a tenant column', async () => {
    const tables = await first.client.query<{ table: string }>(
      `SELECT c.oid::regclass::text AS table FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attname = 'tenant_id' AND a.attnotnull`,
    );
    expect(tables.rows).toHaveLength(25);
    for (const { table } of tables.rows) {
      const { rows } = await first.client.query<{ tenants: number }>(
        `SELECT count(DISTINCT tenant_id)::int AS tenants FROM ${table}`,
      );
      expect({ table, tenants: rows[0]?.tenants }).toEqual({ table, tenants: TENANTS });
    }
  });

  it('has only valid foreign keys, each with an index on its column', async () => {
    const { rows } = await first.client.query(
      `SELECT conrelid::regclass::text AS table, conname, convalidated,
         EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1]) AS indexed
       FROM pg_constraint k WHERE contype = 'f' AND connamespace = 'public'::regnamespace`,
    );
    expect(rows).toHaveLength(55);
    expect(rows.filter((row) => !row.convalidated || !row.indexed)).toEqual([]);
  });

  it('has no row of one tenant that refers to a row of another', async () => {
    const keys = await first.client.query<{ sql: string }>(
      `SELECT format('SELECT count(*)::int AS n FROM %s c JOIN %s p ON p.%I = c.%I WHERE p.tenant_id <> c.tenant_id',
         k.conrelid::regclass, k.confrelid::regclass, p.attname, c.attname) AS sql
       FROM pg_constraint k
       JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[1]
       JOIN pg_attribute c ON c.attrelid = k.conrelid AND c.attnum = k.conkey[1]
       WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
         AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = k.conrelid AND attname = 'tenant_id')
         AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = k.confrelid AND attname = 'tenant_id')`,
    );
    expect(keys.rows.length).toBeGreaterThan(20);
    for (const { sql } of keys.rows) {
      expect({ sql, rows: (await first.client.query(sql)).rows }).toEqual({
        sql,
        rows: [{ n: 0 }],
      });
    }
  });

  it('is the same schema whether it is created empty or seeded', async () => {
    const database = await createDatabase();
    try {
      await createApplication(database.url);
      const client = await connect(database.url);
      try {
        expect(await listConstraints(client)).toEqual(await listConstraints(first.client));
      } finally {
        await client.end();
      }
    } finally {
      await database.drop();
    }
  });

  it('refuses to replace a table that it did not create, and changes nothing', async () => {
    const database = await createDatabase();
    const client = await connect(database.url);
    try {
      await client.query('CREATE TABLE public.tenants AS SELECT 1 AS id');
      await expect(seedApplication(database.url, SIZE)).rejects.toThrow(
        /did not create: public.tenants/,
      );
      expect((await client.query('SELECT id FROM public.tenants')).rows).toEqual([{ id: 1 }]);
    } finally {
      await client.end();
      await database.drop();
    }
  });
});

describe('the demo keys in Redis', () => {
  it('are as many as reported, 56 per tenant by the exact templates, and the same each time', async () => {
    const claimed = await claimRedisDatabase();
    const redis = new Redis(claimed.url);
    try {
      const report = await seedRedis(claimed.url, SIZE);
      expect(report).toMatchObject({ tenantKeys: TENANTS * 56, strayKeys: 1000 });
      const keys = (await redis.keys('*')).sort();
      expect(keys).toHaveLength(report.tenantKeys + report.strayKeys);
      for (const id of [...DEMO.kept.map((tenant) => tenant.id), ...listTestTenantIds(SIZE)]) {
        const own = keys.filter(
          (key) => key.startsWith(`tenant:${id}:`) || key === `ratelimit:${id}`,
        );
        expect(own).toHaveLength(56);
      }
      await seedRedis(claimed.url, SIZE);
      expect((await redis.keys('*')).sort()).toEqual(keys);
    } finally {
      redis.disconnect();
      await claimed.release();
    }
  });
});

async function seedDatabase(size: { scale: number; seed: number }): Promise<SeededDatabase> {
  const database = await createDatabase();
  await seedApplication(database.url, size);
  const client = await connect(database.url);
  return {
    url: database.url,
    client,
    drop: async () => {
      await client.end();
      await database.drop();
    },
  };
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

/** One digest per table over all of its rows as text, whatever their order on disk. */
async function digestTables(client: Client): Promise<Map<string, string>> {
  const tables = await client.query<{ table: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS table FROM pg_tables WHERE schemaname = 'public'`,
  );
  const digests = new Map<string, string>();
  for (const { table } of tables.rows) {
    const { rows } = await client.query<{ digest: string | null }>(
      `SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C")) AS digest FROM ${table} t`,
    );
    expect({ table, digest: rows[0]?.digest }).toEqual({ table, digest: expect.any(String) });
    digests.set(table, rows[0]?.digest ?? '');
  }
  return digests;
}

async function listConstraints(client: Client): Promise<unknown[]> {
  const { rows } = await client.query(
    `SELECT conrelid::regclass::text AS table, conname, pg_get_constraintdef(oid, true) AS definition
     FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2`,
  );
  return rows;
}
