import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { to } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RESTORE_FILE } from '../../../src/archive/file-name.ts';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { renderRestoreSql } from '../../../src/archive/restore-sql.ts';
import { type ArchiveLayout, COPY_SETTINGS } from '../../../src/domain/archive.ts';
import { asTableName } from '../../../src/domain/ids.ts';
import { recordToCopyLine } from '../../../src/domain/record-text.ts';
import { createDatabase, databaseUrlOf, type TestDatabase } from '../../support/postgres.ts';
import { hasPsql } from '../../support/psql.ts';
import { withFolder } from './archive-folder.ts';
import { TORTURE_SCHEMA, TORTURE_TABLES } from './torture-schema.ts';
import { FOLDER, manifestOf, type WrittenPart, writeBatches } from './written-archive.ts';

const run = promisify(execFile);
const TENANTS = '"Odd ""Tenants"';
const ROOT_OF: Readonly<Record<string, string>> = { parted_one: 'parted' };

/** Sessions of the application, and psql's, print and read everything in another way than the archive. */
const HOSTILE = `
  alter database %s set datestyle = 'SQL, DMY';
  alter database %s set timezone = 'Asia/Kolkata';
  alter database %s set extra_float_digits = 0;
  alter database %s set intervalstyle = 'sql_standard';
  alter database %s set bytea_output = 'escape';`;

let template: TestDatabase;

beforeAll(async () => {
  template = await createDatabase({ name: 'torture' });
  await withClient(template.url, async (client) => {
    await client.query(TORTURE_SCHEMA);
  });
});
afterAll(() => template.drop());

async function withClient<Result>(
  url: string,
  use: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

const copied = (client: Client, query: string): Promise<string> =>
  text(client.query(to(`copy (${query}) to stdout`)));

const setLocal = Object.entries(COPY_SETTINGS)
  .map(([name, value]) => `set local "${name}" = '${value}';`)
  .join('\n');

async function layoutOf(client: Client, relation: string): Promise<ArchiveLayout> {
  const { rows } = await client.query<Pick<ArchiveLayout, 'columns' | 'primaryKey'>>(
    `select (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
         'generated', attgenerated <> '',
         'identity', case attidentity when 'a' then 'always' when 'd' then 'by default' end) order by attnum)
       from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped) as columns,
       coalesce((select array_agg(attname::text) from pg_index join pg_attribute
         on attrelid = indrelid and attnum = any(indkey)
         where indrelid = $1::regclass and indisprimary), '{}') as "primaryKey"`,
    [relation],
  );
  const { columns = [], primaryKey = [] } = rows[0] ?? {};
  return {
    id: createHash('sha256').update(relation).digest('hex').slice(0, 16),
    table: asTableName(`public.${ROOT_OF[relation] ?? relation}`),
    relation: asTableName(`public.${relation}`),
    columns,
    primaryKey,
  };
}

/** Everything in the tables, and where the sequences are. */
async function contents(client: Client): Promise<Record<string, string>> {
  await client.query(`begin; ${setLocal}`);
  const all: Record<string, string> = {};
  for (const table of [...TORTURE_TABLES, 'parted_two']) {
    all[table] = await copied(client, `select x_.* from only ${table} x_ order by x_::text`);
  }
  for (const name of ['kinds_id_seq', 'kinds_by_default_seq', 'kinds_ser_seq']) {
    all[name] = await copied(client, `select last_value, is_called from ${name}`);
  }
  await client.query('commit');
  return all;
}

/** Purges tenant 1 as a purge would: marks it, clears references, deletes; returns what it archives. */
async function purge(
  client: Client,
): Promise<{ batches: WrittenPart[][]; layouts: ArchiveLayout[] }> {
  await client.query(`begin; ${setLocal}`);
  const layouts = new Map<string, ArchiveLayout>();
  for (const table of TORTURE_TABLES) layouts.set(table, await layoutOf(client, table));
  const batches: WrittenPart[][] = [];
  const keep = (
    table: string,
    kind: 'deleted' | 'changed',
    goesLater: boolean,
    archived: string,
  ): void => {
    const layout = layouts.get(table);
    if (layout !== undefined) batches.push([{ layout, kind, goesLater, text: archived }]);
  };
  const change = async (
    table: string,
    where: string,
    set: string,
    goesLater: boolean,
  ): Promise<void> => {
    keep(
      table,
      'changed',
      goesLater,
      await copied(
        client,
        `update only ${table} t set ${set} from (select *, ctid as place from only ${table}) o
       where t.ctid = o.place and ${where} returning ${await columnsOf('o', table)}, t.*`,
      ),
    );
  };
  const columnsOf = async (alias: string, table: string): Promise<string> =>
    (layouts.get(table)?.columns ?? [])
      .map(({ name }) => `${alias}.${client.escapeIdentifier(name)}`)
      .join(', ');

  await change(TENANTS, 't.id = 1', "state = 'deleting'", true);
  // Row 2 three times: its last change has to be undone first.
  await change('boss', 't.id = 2', 'best = 2', true);
  await change('boss', 't.id = 2', 'meta = null', true);
  await change('boss', 't.tenant = 1', 'best = null', true);
  await change(
    'review',
    't.author in (select id from boss where tenant = 1)',
    'author = null',
    false,
  );
  const deletes: readonly [string, string][] = [
    ['kinds', 'tenant = 1'],
    ['parted_one', 'true'],
    ['worker', 'boss in (select id from boss where tenant = 1)'],
    ['boss', 'tenant = 1'],
    ['hen', 'tenant = 1'],
    ['egg', 'id in (select egg from hen where tenant = 1)'],
    [TENANTS, 'id = 1'],
  ];
  for (const [table, where] of deletes) {
    keep(table, 'deleted', false, await copied(client, `select * from ${table} where ${where}`));
    if (table === 'hen') continue;
    await client.query(
      table === 'egg'
        ? `with e as (delete from egg where ${where}) delete from hen where tenant = 1`
        : `delete from ${table} where ${where}`,
    );
  }
  await client.query('commit');
  return { batches, layouts: [...layouts.values()] };
}

const GROUPS = [[TENANTS], ['boss'], ['worker'], ['hen', 'egg'], ['parted'], ['kinds']].map(
  (group) => group.map((table) => asTableName(`public.${table}`)),
);

interface Purged {
  readonly client: Client;
  readonly url: string;
  /** Of the archive of the purge. */
  readonly folder: string;
  readonly before: Record<string, string>;
  readonly after: Record<string, string>;
  readonly psql: () => Promise<string>;
}

const purged = (test: (world: Purged) => Promise<void>): Promise<void> =>
  withFolder(async (root) => {
    const database = await createDatabase({ name: 'restored', template: template.name });
    try {
      await withClient(database.url, (client) =>
        client.query(HOSTILE.replaceAll('%s', database.name)),
      );
      await withClient(database.url, async (client) => {
        const before = await contents(client);
        const store = createFileSystemStore(root);
        const { batches, layouts } = await purge(client);
        const chunks = await writeBatches(store, batches);
        await store.put(
          FOLDER,
          RESTORE_FILE,
          renderRestoreSql(manifestOf(chunks, layouts, GROUPS)),
        );
        const folder = join(root, FOLDER);
        const psql = async (): Promise<string> => {
          const options = { cwd: folder, env: { PATH: process.env['PATH'] } };
          const flags = ['-X', '-v', 'ON_ERROR_STOP=1', '-f', RESTORE_FILE, database.url];
          return (await run('psql', flags, options)).stderr;
        };
        const after = await contents(client);
        await test({ client, url: database.url, folder, before, after, psql });
      });
    } finally {
      await database.drop();
    }
  });

describe.runIf(hasPsql)('restore.sql, run by psql', () => {
  it('puts every row and every changed reference back as it was', () =>
    purged(async ({ client, before, after, psql }) => {
      expect(after['kinds']).not.toBe(before['kinds']);
      expect(after['review']).not.toBe(before['review']);
      const told = await psql();
      expect(await contents(client)).toEqual(before);
      expect(told).not.toMatch(/ERROR|WARNING/);
      expect(told).toContain('public.review: 4 of 4 changed rows have their old values again');
    }));

  it('changes nothing when it is run a second time', () =>
    purged(async ({ client, before, psql }) => {
      await psql();
      await expect(psql()).rejects.toThrow(/duplicate key/);
      expect(await contents(client)).toEqual(before);
    }));

  it('leaves what was changed since the purge, and counts it', () =>
    purged(async ({ client, before, psql }) => {
      await client.query(`update review set author = 1 where body is null`);
      expect(await psql()).toContain('public.review: 3 of 4 changed rows');
      const now = await contents(client);
      expect(now['review']).toContain('\\N\t1');
      expect({ ...now, review: '' }).toEqual({ ...before, review: '' });
    }));

  it('moves sequences forward where the tables are new, and never backwards', () =>
    purged(async ({ client, before, psql }) => {
      await client.query(
        `alter sequence kinds_id_seq restart; select setval('kinds_ser_seq', 1000)`,
      );
      await psql();
      const now = await contents(client);
      expect(now['kinds_id_seq']).toBe('3\tt\n');
      expect(now['kinds_ser_seq']).toBe('1000\tt\n');
      expect(now['kinds']).toBe(before['kinds']);
    }));

  it('puts nothing back from a damaged or missing segment', () =>
    purged(async ({ client, after, folder, psql }) => {
      const name = '000001-all-tables-001.copy.gz';
      const silent = await run('sh', ['-c', `sed -n 's/^--# //p' ${RESTORE_FILE} | sh`], {
        cwd: folder,
      });
      expect(silent.stdout).toBe('');
      const file = await open(join(folder, name), 'r+');
      const { size } = await file.stat();
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 6);
      await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, size - 6);
      const found = await run('sh', ['-c', `sed -n 's/^--# //p' ${RESTORE_FILE} | sh`], {
        cwd: folder,
      });
      expect(found.stdout).toMatch(/^damaged: 000001-all-tables-001\.copy\.gz from byte \d+\n$/);
      await expect(psql()).rejects.toThrow(/crc error|invalid compressed data/);
      await file.truncate(10);
      await expect(psql()).rejects.toThrow(/unexpected end|rows were read from the archive/);
      await file.close();
      expect(await contents(client)).toEqual(after);
    }));

  it('names triggers that fire, and goes back when one keeps a row out', () =>
    purged(async ({ client, after, psql }) => {
      await client.query(`
        create function skip() returns trigger language plpgsql as 'begin return null; end';
        create trigger "keeps out" before insert on worker for each row execute function skip();`);
      await expect(psql()).rejects.toThrow(
        /trigger keeps out on worker fires[\s\S]*public\.worker: 0 rows went in, 5 were archived/,
      );
      expect(await contents(client)).toEqual(after);
    }));
});

describe('A row archived as a record', () => {
  it('is the line that COPY writes for its columns', async () => {
    await withClient(databaseUrlOf(template.name), async (client) => {
      await client.query(`begin; ${setLocal}`);
      for (const table of TORTURE_TABLES) {
        const plain = await copied(client, `select x_.* from ${table} x_ order by x_::text`);
        const records = await copied(client, `select x_ from ${table} x_ order by x_::text`);
        const lines = records.split('\n').slice(0, -1);
        const rebuilt = lines.map((line) => recordToCopyLine(Buffer.from(line)).toString());
        expect(rebuilt.join('') === plain).toBe(true);
      }
      await client.query('rollback');
    });
  });
});
