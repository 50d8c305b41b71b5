import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { Client, DatabaseError } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { randomCases } from '../support/random-schema/cases.ts';
import { loadCase, readLines, toLines } from '../support/random-schema/database-rows.ts';
import { type ExpectedPurge, expectPurge } from '../support/random-schema/expected-purge.ts';
import { type RandomCase, tableOf } from '../support/random-schema/model.ts';
import { purgeBySql } from '../support/random-schema/purge-by-sql.ts';
import { renderCase } from '../support/random-schema/render-sql.ts';
import { propertyRuns } from '../support/random-schema/run-options.ts';
import {
  readChanges,
  unexplainedChanges,
  watchChanges,
} from '../support/random-schema/watch-changes.ts';

const RUNS = 100;

let database: TestDatabase;
let client: Client;
let cases: ReturnType<typeof randomCases>;

beforeAll(async () => {
  database = await createDatabase({ name: 'random_schema' });
  client = new Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query('show server_version_num');
  cases = randomCases({ setNullColumns: Number(rows[0].server_version_num) >= 150_000 });
});

afterAll(async () => {
  await client.end();
  await database.drop();
});

describe('a random application', () => {
  it('loads into PostgreSQL, with every foreign key satisfied', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (found) => {
        await loadCase(client, found);
        expect(await readLines(client, found.model)).toEqual(toLines(found.model, found.data));
      }),
      propertyRuns(RUNS),
    );
  });

  it('is printed so that it can be loaded as printed', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (found) => {
        await client.query(renderCase(found));
        expect(await readLines(client, found.model)).toEqual(toLines(found.model, found.data));
      }),
      propertyRuns(10),
    );
  });

  it('loses by plain SQL what is expected to go, and nothing by an action of a key', async () => {
    let purged = 0;
    await fc.assert(
      fc.asyncProperty(cases, async (found) => {
        const expected = expectPurge(found);
        if (expected.mustRefuse.length > 0) return;
        purged += 1;
        await loadCase(client, found);
        await watchChanges(client, found.model);
        await purgeBySql(client, found.model, expected);
        expect(await readLines(client, found.model)).toEqual(toLines(found.model, expected.rows));
        expect(unexplainedChanges(expected, await readChanges(client))).toEqual([]);
      }),
      propertyRuns(RUNS),
    );
    expect(purged).toBeGreaterThan(RUNS / 4);
  });

  it('loses what it was expected to by DELETE alone, where every key cascades', async () => {
    const compared = { equal: 0, more: 0 };
    await fc.assert(
      fc.asyncProperty(cases, async (found) => {
        const cascading = withEveryKeyCascading(found);
        const expected = expectPurge(cascading);
        const ways = [...expected.ownership.ways.values()].flat();
        if (expected.ownership.ambiguous.size > 0) return;
        if (ways.some((way) => way.kind === 'column')) return;
        await loadCase(client, cascading);
        await watchChanges(client, found.model);
        await client.query('delete from tenants where id::text = $1', [found.tenant]);
        const left = await readLines(client, found.model);
        const isAsExpected = isDeepStrictEqual(left, toLines(found.model, expected.rows));
        const changes = unexplainedChanges(expected, await readChanges(client));
        const isTenantAlone = expected.deleted.size === 1 && isAsExpected;
        expect(changes.every((one) => /by a trigger|not expected/.test(one))).toBe(true);
        expect(changes.length === 0).toBe(isTenantAlone);
        compared[isAsExpected ? 'equal' : 'more'] += 1;
        expect(isAsExpected).toBe(expected.mustRefuse.length === 0);
      }),
      propertyRuns(RUNS),
    );
    expect(compared.equal).toBeGreaterThan(RUNS / 10);
    expect(compared.more).toBeGreaterThan(0);
  });

  it('could not be purged where a refusal is expected: PostgreSQL refuses, or changes others', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(cases, async (found) => {
        const expected = expectPurge(found);
        if (!speaksOfData(found, expected)) return;
        refused += 1;
        await loadCase(client, found);
        const code = await codeOf(purgeBySql(client, found.model, expected));
        if (code === null) {
          const left = await readLines(client, found.model);
          expect(left).not.toEqual(toLines(found.model, expected.rows));
        } else {
          expect(code).toMatch(/^(23001|23502|23503)$/);
        }
      }),
      propertyRuns(RUNS),
    );
    expect(refused).toBeGreaterThan(RUNS / 10);
  });
});

/** The same application without a configuration, every key of which deletes what refers. */
function withEveryKeyCascading(found: RandomCase): RandomCase {
  const tables = found.model.tables.map((table) => ({
    ...table,
    foreignKeys: table.foreignKeys.map((key) => ({
      ...key,
      onDelete: 'CASCADE' as const,
      setColumns: null,
    })),
  }));
  const settings = { tenantColumns: [], tables: {}, foreignKeys: {} };
  return { ...found, model: { ...found.model, tables }, settings };
}

/**
 * A reason that the data give, and that no other rule settles by the way: two keys that share a column
 * both end where one is cleared, also the one that its rule refuses.
 */
function speaksOfData({ model }: RandomCase, { mustRefuse, cleared }: ExpectedPurge): boolean {
  return mustRefuse.some(({ kind, table, foreignKey }) => {
    if (kind === 'NOT_CLEARABLE') return true;
    if (kind !== 'OUTSIDE_REFERENCE') return false;
    const columns = tableOf(model, table).foreignKeys.find(
      (key) => key.name === foreignKey,
    )?.columns;
    return !cleared.some(
      (row) => row.table === table && row.columns.some((column) => columns?.includes(column)),
    );
  });
}

/** SQLSTATE of the failure, whose transaction is then over; null where there is none. */
async function codeOf(purge: Promise<void>): Promise<string | null> {
  try {
    await purge;
    return null;
  } catch (error) {
    await client.query('rollback');
    if (error instanceof DatabaseError) return error.code ?? null;
    throw error;
  }
}
