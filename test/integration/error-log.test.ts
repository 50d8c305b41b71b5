import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase({ name: 'error_log' });
});
afterEach(() => database.drop());

const from = (path: string): string =>
  JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

/** Lines of a program that has PostgreSQL refuse rows with secrets in them, and logs what it threw. */
async function logRefusals(level: string): Promise<Record<string, unknown>[]> {
  const program = `
    import { Client } from 'pg';
    import { PurgeError } from ${from('src/domain/errors.ts')};
    import { createLogger } from ${from('src/observability/logger.ts')};
    const log = createLogger({ level: ${JSON.stringify(level)}, name: 'test', destination: 'stdout' });
    const client = new Client({ connectionString: process.env.DATABASE_URL });
    await client.connect();
    const refusalOf = (sql) => client.query(sql).then(() => undefined, (error) => error);
    await client.query(\`create table public.people (email text constraint people_email_key unique);
      create function public.guard() returns trigger language plpgsql as $$
      begin
        execute format('select no_such(%L)', new.email);
        return new;
      end $$;
      create function public.lecture() returns void language plpgsql as $$
      begin raise 'no' using hint = 'ask s3cret@example.com'; end $$;
      insert into public.people values ('s3cret@example.com')\`);
    const unique = await refusalOf("insert into public.people values ('s3cret@example.com')");
    await client.query('create trigger guard before insert on public.people for each row execute function public.guard()');
    const context = await refusalOf("insert into public.people values ('s3cret@example.com')");
    const raised = await refusalOf('select public.lecture()');
    const misspelt = await refusalOf('select emial from public.people');
    await client.end();
    log.error({ err: unique }, 'unique');
    log.error({ err: context }, 'context');
    log.error({ err: raised }, 'raised');
    log.error({ err: misspelt }, 'misspelt');
    log.error({ err: new Error('outer', { cause: new PurgeError('INTERNAL', 'inner', { cause: unique }) }) }, 'nested');
    log.error({ err: new AggregateError([unique, context], 'both') }, 'both');
    log.error({ err: Object.assign(new Error('holder'), { first: context }) }, 'held');
    log.error(unique);`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', program],
    {
      env: { ...process.env, DATABASE_URL: database.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await once(child, 'close');
  expect(stderr).toBe('');
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const FACTS = { code: '23505', schema: 'public', table: 'people', constraint: 'people_email_key' };

test("what PostgreSQL's errors quote of rows is not logged, SQLSTATE, table and constraint are", async () => {
  const lines = await logRefusals('info');
  expect(lines).toHaveLength(8);
  expect(JSON.stringify(lines)).not.toContain('s3cret');
  const byMessage = new Map(lines.map((line) => [line['msg'], line['err']]));
  expect(byMessage.get('unique')).toMatchObject({ ...FACTS, detail: '[redacted]' });
  expect(byMessage.get('context')).toMatchObject({
    code: '42883',
    where: '[redacted]',
    internalQuery: '[redacted]',
  });
  expect(byMessage.get('raised')).toMatchObject({ code: 'P0001', hint: '[redacted]' });
  expect(byMessage.get('misspelt')).toMatchObject({
    code: '42703',
    hint: expect.stringContaining('people.email'),
  });
  expect(byMessage.get('nested')).toMatchObject({
    message: expect.stringContaining('outer: inner: duplicate key'),
    causes: [{ code: 'INTERNAL' }, FACTS],
  });
  expect(byMessage.get('both')).toMatchObject({ aggregateErrors: [FACTS, { code: '42883' }] });
  expect(byMessage.get('held')).toMatchObject({ first: { code: '42883', where: '[redacted]' } });
});

test('at debug they are logged as PostgreSQL wrote them', async () => {
  const lines = await logRefusals('debug');
  const byMessage = new Map(lines.map((line) => [line['msg'], line['err']]));
  const detail = 'Key (email)=(s3cret@example.com) already exists.';
  expect(byMessage.get('unique')).toMatchObject({ detail });
  expect(byMessage.get('nested')).toMatchObject({ causes: [{}, { ...FACTS, detail }] });
  expect(byMessage.get('context')).toMatchObject({
    internalQuery: "select no_such('s3cret@example.com')",
    where: expect.stringContaining('guard()'),
  });
});
