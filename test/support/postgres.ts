import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier } from 'pg';
import { inject } from 'vitest';

/** A database of a test's own. */
export type TestDatabase = {
  readonly name: string;
  /** The superuser's URL. */
  readonly url: string;
  /** Ends every connection to it and removes it; idempotent. */
  drop(): Promise<void>;
};

export type TestDatabaseOptions = {
  /** Start of the name; a random ending keeps it unique. */
  readonly name?: string;
  /** Database to copy; nobody may be connected to it. */
  readonly template?: string;
};

/** Creates an empty database, or a copy of `template`. */
export async function createDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `${options.name ?? 'test'}_${randomBytes(6).toString('hex')}`;
  const template = options.template ?? 'template0'; // template1 is locked while another copies it
  await runAsAdmin(
    `create database ${escapeIdentifier(name)} template ${escapeIdentifier(template)}`,
  );
  return {
    name,
    url: databaseUrlOf(name),
    drop: () => runAsAdmin(`drop database if exists ${escapeIdentifier(name)} with (force)`),
  };
}

/** The superuser's URL of a database of the run's PostgreSQL. */
export function databaseUrlOf(name: string): string {
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${name}`;
  return url.href;
}

const runAsAdmin = (sql: string): Promise<void> => runSql(inject('databaseUrl'), sql);

/** Runs SQL, also several statements, in a session of its own. */
export async function runSql(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
