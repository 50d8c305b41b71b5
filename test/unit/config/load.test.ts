import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig, parseConfig } from '../../../src/config/load.ts';
import { PurgeError } from '../../../src/domain/errors.ts';

const FILE = { tenant: { table: 'public.tenants' } };
const ENV = {
  DATABASE_URL: 'postgres://app:s3cret@127.0.0.1:5432/app',
  REDIS_URL: 'redis://:s3cret@127.0.0.1:6379/1',
};

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'purge-config-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function problemsOf(load: () => unknown): Promise<readonly unknown[]> {
  const error = await refusal(load);
  expect(error.code).toBe('CONFIG_INVALID');
  const problems = error.details['problems'];
  expect(Array.isArray(problems)).toBe(true);
  return Array.isArray(problems) ? problems : [];
}

async function refusal(load: () => unknown): Promise<PurgeError> {
  try {
    await load();
  } catch (thrown) {
    if (thrown instanceof PurgeError) return thrown;
    throw thrown;
  }
  throw new Error('it was accepted');
}

const fileProblems = (extra: object): Promise<readonly unknown[]> =>
  problemsOf(() => parseConfig({ ...FILE, ...extra }, ENV, null));
const environmentProblems = (extra: NodeJS.ProcessEnv): Promise<readonly unknown[]> =>
  problemsOf(() => parseConfig(FILE, { ...ENV, ...extra }, null));

describe('a complete configuration', () => {
  test('needs the tenant table and two URLs, and has defaults for the rest', () => {
    expect(parseConfig(FILE, ENV, null)).toMatchObject({
      databaseUrl: ENV.DATABASE_URL,
      redisUrl: ENV.REDIS_URL,
      queueRedisUrl: ENV.REDIS_URL,
      environment: 'production',
      keep: [],
      confirmation: null,
      logLevel: 'info',
      board: { host: '127.0.0.1', port: 3000, user: 'operator', password: null },
      batch: { targetMs: 250 },
      file: null,
    });
  });

  test('takes rules for tables and keys, and parents to follow, as they are written', () => {
    const extra = {
      tables: {
        'public.events': {
          ownedBy: [
            'tenant_id',
            { column: 'owner_id', when: { kind: 'agent' }, to: 'public.agents' },
          ],
        },
        'public.audit': { where: 'org = {tenantId}', onPurge: 'update', set: { org: null } },
        'public.invoices': { onPurge: 'set-null' },
      },
      foreignKeys: { 'public.reviews.reviews_author_id_fkey': 'set-null' },
      follow: ['public.users.profile_id'],
    };
    expect(parseConfig({ ...FILE, ...extra }, ENV, null)).toMatchObject(extra);
    expect(parseConfig(FILE, ENV, null)).toMatchObject({ tables: {}, foreignKeys: {}, follow: [] });
  });

  test('keeps the tenants of the file and of KEEP_TENANT_ID, each once', () => {
    const env = { ...ENV, KEEP_TENANT_ID: 'b, c' };
    expect(parseConfig({ ...FILE, keep: ['a', 'b'] }, env, null).keep).toEqual(['a', 'b', 'c']);
  });

  test('takes the environment in the form it is compared in', () => {
    expect(parseConfig(FILE, { ...ENV, ENVIRONMENT: ' Staging ' }, null).environment).toBe(
      'staging',
    );
  });

  test('accepts TLS, sockets and a separate Redis for the queue', () => {
    const env = {
      DATABASE_URL: 'postgresql:///app?host=/var/run/postgresql',
      REDIS_URL: 'rediss://cache.example:6380',
      QUEUE_REDIS_URL: 'redis://queue.example/2',
    };
    expect(parseConfig(FILE, env, null).queueRedisUrl).toBe(env.QUEUE_REDIS_URL);
  });
});

describe('the file', () => {
  const typescript = `const table: string = 'public.tenants';\nexport default { tenant: { table } };\n`;
  const javascript = `export default { tenant: { table: 'public.tenants' } };\n`;
  const common = `module.exports = { tenant: { table: 'public.tenants' } };\n`;
  const json = JSON.stringify(FILE);

  test.each([
    ['purge.config.ts', 'module', typescript],
    ['purge.config.ts', 'commonjs', typescript],
    ['purge.config.mjs', 'commonjs', javascript],
    ['purge.config.js', 'module', javascript],
    ['purge.config.js', 'commonjs', common],
    ['purge.config.json', 'module', json],
  ])('may be %s in a package of type %s', async (name, type, text) => {
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type }));
    await writeFile(join(folder, name), text);
    const config = await loadConfig({ cwd: folder, env: ENV });
    expect(config.tenant.table).toBe('public.tenants');
    expect(config.file).toBe(join(folder, name));
  });

  test('may be named, relative to the current folder', async () => {
    await mkdir(join(folder, 'deploy'));
    await writeFile(join(folder, 'deploy', 'eu.json'), json);
    const config = await loadConfig({ cwd: folder, file: 'deploy/eu.json', env: ENV });
    expect(config.file).toBe(join(folder, 'deploy', 'eu.json'));
  });

  test('is asked for where there is none, with the gaps of the environment', async () => {
    const error = await refusal(() => loadConfig({ cwd: folder, env: {} }));
    expect(error.code).toBe('CONFIG_MISSING');
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(join(folder, 'purge.config.{ts,mjs,js,json}'));
    expect(error.message).toContain('DATABASE_URL: is not set');
  });

  test('is refused where two could be meant', async () => {
    await writeFile(join(folder, 'purge.config.json'), json);
    await writeFile(join(folder, 'purge.config.mjs'), javascript);
    expect(await problemsOf(() => loadConfig({ cwd: folder, env: ENV }))).toEqual([
      expect.stringMatching(/several found .*purge\.config\.mjs, .*purge\.config\.json/),
    ]);
  });

  test.each([
    ['purge.config.json', '{"tenant": ', /cannot be read: .*JSON/],
    ['purge.config.ts', 'export default {', /cannot be read: .*purge\.config\.ts/s],
    ['purge.config.mjs', 'throw new Error("no vault");', /cannot be read: no vault/],
    ['purge.config.mjs', 'export const tenant = {};', /no default export/],
  ])('that cannot be read (%s: %s) is one problem beside the others', async (name, text, why) => {
    await writeFile(join(folder, name), text);
    const env = { ...ENV, BOARD_PORT: 'http' };
    expect(await problemsOf(() => loadConfig({ cwd: folder, env }))).toEqual([
      expect.stringMatching(why),
      'BOARD_PORT: must be a port, 0 to 65535',
    ]);
  });
});

describe('problems', () => {
  test('of the file and the environment are named together', async () => {
    const input = { levles: {}, tenant: {}, batch: { targetMs: 'fast' }, keep: [''], allow: ['X'] };
    const error = await refusal(() => parseConfig(input, { LOG_LEVEL: 'inof' }, '/app/p.json'));
    expect(error.details['problems']).toEqual([
      'tenant.table: is missing; expected string',
      'batch.targetMs: expected number, not string',
      'levles: unknown key; did you mean "levels"?',
      'keep: an id is blank; remove it or name the tenant',
      'allow: "X" is no hazard',
      'DATABASE_URL: is not set, e.g. postgres://user:password@127.0.0.1:5432/app',
      'REDIS_URL: is not set, e.g. redis://127.0.0.1:6379/0',
      'LOG_LEVEL: must be one of trace, debug, info, warn, error, fatal, silent; did you mean "info"?',
    ]);
    expect(error.message).toMatch(
      /^The configuration \(\/app\/p\.json .*\) has 8 problems:\n {2}- /,
    );
  });

  test.each([
    [
      { tables: { 'public.a': { ownedby: ['x'] } } },
      'tables.public.a.ownedby: unknown key; did you mean "ownedBy"?',
    ],
    [
      { tables: { 'public.a': { onPurge: 'keeep' } } },
      'tables.public.a.onPurge: must be one of delete, keep, set-null, update; did you mean "keep"?',
    ],
    [
      { tables: { audit: {} } },
      'tables.audit: the key must be "schema.table", e.g. "public.agents"',
    ],
    [
      { foreignKeys: { 'public.a.a_fkey': 'setnull' } },
      'foreignKeys.public.a.a_fkey: must be one of own, set-null, delete, refuse; did you mean "set-null"?',
    ],
    [{ batch: { targetms: 5 } }, 'batch.targetms: unknown key; did you mean "targetMs"?'],
    [
      { allow: ['FK_WITHOUT_INDX'] },
      'allow: "FK_WITHOUT_INDX" is no hazard; did you mean "FK_WITHOUT_INDEX"?',
    ],
    [{ keep: ['a*'] }, 'keep: "a*" has a wildcard, which is never expanded; name each tenant'],
    [{ keep: [' a'] }, 'keep: the id " a" has blanks around it; remove them'],
    [{ keep: [7] }, 'keep.0: expected string, not number'],
    [{ redis: { keys: ['tenant:*'] } }, 'redis.keys.0: must contain {tenantId}'],
  ])('of the file: %j', async (extra, problem) => {
    expect(await fileProblems(extra)).toEqual([problem]);
  });

  test('of a key template say why and what to write', async () => {
    expect(await fileProblems({ redis: { keys: ['t:{tenantId}*'] } })).toEqual([
      expect.stringContaining("it would take tenant 10's keys for tenant 1"),
    ]);
  });

  test.each([
    [
      { DATABASE_URL: 'mysql://app:s3cret@db/app' },
      /must begin with postgres:\/\/ or postgresql:\/\/, not "mysql:\/\/app:\*\*\*@db\/app"/,
    ],
    [{ DATABASE_URL: 'postgres://app:s3#cret@db/app' }, /DATABASE_URL: .*%23|is not a URL/],
    [{ DATABASE_URL: 'postgres://app:1/s3cret@db/app' }, /%2F/],
    [
      { DATABASE_URL: 'postgres://app:s3cret@db' },
      /names no database \("postgres:\/\/app:\*\*\*@db"\)/,
    ],
    [{ DATABASE_URL: 'app:s3cret@db' }, /must begin with postgres:\/\//],
    [{ DATABASE_URL: 's3cret' }, /DATABASE_URL: is not a URL/],
    [{ REDIS_URL: 'http://:s3cret@cache' }, /REDIS_URL: must begin with redis:\/\/ or rediss:\/\//],
    [
      { REDIS_URL: 'redis://:s3cret@cache/main' },
      /REDIS_URL: what follows the host must be the number of a database/,
    ],
    [{ QUEUE_REDIS_URL: 'redis://' }, /QUEUE_REDIS_URL: names no host/],
    [{ KEEP_TENANT_ID: 'a,,b' }, /KEEP_TENANT_ID: an id is blank/],
    [{ KEEP_TENANT_ID: '' }, /KEEP_TENANT_ID: an id is blank/],
    [{ KEEP_TENANT_ID: '%' }, /KEEP_TENANT_ID: "%" has a wildcard/],
    [{ BOARD_PORT: '70000' }, /BOARD_PORT: must be a port/],
    [
      { BOARD_HOST: '0.0.0.0' },
      /BOARD_HOST: "0\.0\.0\.0" can be reached from other machines; set BOARD_PASSWORD/,
    ],
    [{ BOARD_HOST: '127.0.0.1.example.org' }, /can be reached/],
  ])('of the environment: %j', async (extra, problem) => {
    const problems = await environmentProblems(extra);
    expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(String(problems)).not.toContain('s3cret');
  });

  test('do not include a board for all the world that has a password', () => {
    const env = { ...ENV, BOARD_HOST: '0.0.0.0', BOARD_PASSWORD: 'x' };
    expect(parseConfig(FILE, env, null).board.password).toBe('x');
  });
});
