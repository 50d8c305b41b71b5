import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterEach, expect, test } from 'vitest';
import { createDatabase } from '../support/postgres.ts';
import { claimRedisDatabase } from '../support/redis.ts';

const cleanups: (() => Promise<unknown> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test('the run uses the PostgreSQL version that was asked for', async () => {
  const { url } = await ownDatabase();
  const asked = process.env['TEST_POSTGRES_VERSION'] ?? '18';
  const client = await connect(url);
  const { rows } = await client.query<{ version: string }>(
    "select current_setting('server_version') as version",
  );
  expect(rows[0]?.version.split('.')[0]).toBe(asked);
});

test('a database can be the copy of another', async () => {
  const original = await ownDatabase();
  const client = await connect(original.url);
  await client.query('create table copied as select 7 as n');
  await client.end();
  const copy = await ownDatabase({ name: 'copy', template: original.name });
  const { rows } = await (await connect(copy.url)).query('select n from copied');
  expect(rows).toEqual([{ n: 7 }]);
});

test('two Redis claims never see each other, and a released number comes back empty', async () => {
  const [one, two] = [await claimRedisDatabase(), await claimRedisDatabase()];
  cleanups.push(() => two.release());
  expect(one.url).not.toBe(two.url);
  await connectRedis(one.url).set('key', 'value');
  expect(await connectRedis(two.url).dbsize()).toBe(0);
  await one.release();
  await one.release();
  expect(await connectRedis(one.url).dbsize()).toBe(0);
});

async function ownDatabase(options?: Parameters<typeof createDatabase>[0]) {
  const database = await createDatabase(options);
  cleanups.push(() => database.drop());
  return database;
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  client.on('error', () => undefined); // dropping its database ends the connection
  await client.connect();
  return client;
}

function connectRedis(url: string): Redis {
  const client = new Redis(url);
  cleanups.push(() => client.disconnect());
  return client;
}
