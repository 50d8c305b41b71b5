/** Rows for real applications' schemas, and the judge of who owns them: sound before they judge. */
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { compareSurveys } from '../support/schemas/comparison.ts';
import {
  type Application,
  applications,
  readFacts,
  type SchemaFacts,
} from '../support/schemas/facts.ts';
import { type FilledSchema, type FillOptions, fillSchema } from '../support/schemas/fill.ts';
import { isSoft, type Ownership } from '../support/schemas/graph.ts';
import { loadSchema } from '../support/schemas/load.ts';
import {
  indexRows,
  judgeRows,
  type Survey,
  type SurveyedRow,
  surveyOwners,
  valuesKey,
} from '../support/schemas/oracle.ts';
import { quoteList, quoteTable, runScript } from '../support/schemas/script.ts';

/** Their tenants own most rows over columns without a foreign key. */
const virtualTenants: readonly Application[] = ['hatchet', 'thingsboard'];

const cases = applications.flatMap((application) =>
  (['all', 'strict'] as const).map((edges) => ({ application, edges })),
);

describe.each(cases)('the rows made for $application, ownership over $edges keys', (options) => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld(options.application, options.edges);
  });

  afterAll(() => world?.end());

  it('have the one owner they were made for, or none, and point at rows', () => {
    const { filled, survey } = world;
    expect(survey.faults).toEqual([]);
    expect(countsOf(survey)).toEqual(sorted(filled.counts));
  });

  it('are in every table, of every tenant where tenants own any, and use every owned key', () => {
    const { filled, survey } = world;
    const everyone = filled.tenants.map((_, tenant) => tenant);
    for (const [table, counts] of filled.counts) {
      const tenants = [...counts.keys()].filter((owner) => owner !== 'nobody');
      expect([[], everyone], table).toContainEqual(tenants);
      expect(counts.size, table).toBeGreaterThan(0);
      const unused = survey.graph.edges.filter(
        (edge) =>
          edge.from === table &&
          tenants.length > 0 &&
          indexRows(survey.rows.get(table) ?? [], edge.columns).size === 0,
      );
      expect(unused).toEqual([]);
    }
  });

  it('satisfy the keys that PostgreSQL did not check while they were written', async () => {
    expect(await danglingKeys(world.pool, world.facts)).toEqual([]);
  });

  it('leave their tenant over soft references only, and only where ownership is strict', () => {
    const { crossing } = world.filled;
    const soft = world.survey.graph.edges.filter(isSoft).map(({ columns }) => columns.join());
    expect(crossing.length > 0).toBe(options.edges === 'strict');
    expect(crossing.filter(({ columns }) => !soft.includes(columns.join()))).toEqual([]);
    expect(crossing.filter(({ from, toTenant }) => from === toTenant)).toEqual([]);
  });

  it('are as they should be when two tenants are gone', () => {
    const after = purge(world.survey, [0, 2]);
    expect(compareSurveys(world.survey, after, { purged: [0, 2] })).toEqual([]);
  });
});

describe('the filler', () => {
  it('makes the same rows each time, and lays those of the tenants in turn', async () => {
    await using one = await createWorld('concourse', 'all');
    await using other = await createWorld('concourse', 'all');
    expect(other.survey.totals).toEqual(one.survey.totals);
    const owners = one.survey.rows.get('public.pipelines')?.map(({ owner }) => owner);
    expect(owners?.filter((owner) => owner !== 'nobody')).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
  });
});

describe('the comparison of two surveys', () => {
  let world: World;
  const purged = [0, 2];

  beforeAll(async () => {
    world = await createWorld('concourse', 'strict');
  });

  afterAll(() => world?.end());

  /** What it says of a purge of tenants 0 and 2 that did something else too. */
  function differencesAfter(change: (rows: Map<string, SurveyedRow[]>) => void): string[] {
    const rows = new Map(
      [...purge(world.survey, purged).rows].map(([key, list]) => [key, [...list]]),
    );
    change(rows);
    return compareSurveys(world.survey, judge(world.survey, rows), { purged });
  }

  it('names a row that is lost', () => {
    const row = rowOf(world.survey, 'public.prototypes', 1);
    expect(
      differencesAfter((rows) => {
        const prototypes = rows.get('public.prototypes') ?? [];
        rows.set(
          'public.prototypes',
          prototypes.filter(({ key }) => key !== row.key),
        );
      }),
    ).toEqual([`public.prototypes (${row.key}) of tenant 1 is lost.`]);
  });

  it('names a row of nobody that is lost', () => {
    expect(differencesAfter((rows) => rows.set('public.wall', []))).toHaveLength(3);
  });

  it('names a column that changed', () => {
    const row = rowOf(world.survey, 'public.prototypes', 1);
    expect(
      differencesAfter((rows) => {
        replace(rows, 'public.prototypes', { key: row.key, column: 'type', value: 'another' });
      }),
    ).toEqual([
      `public.prototypes (${row.key}) of tenant 1: type was ${row.values.get('type')}, is another.`,
    ]);
  });

  it('names a row of a purged tenant that is left behind, and its key that points at nothing', () => {
    const row = rowOf(world.survey, 'public.prototypes', 2);
    expect(differencesAfter((rows) => rows.get('public.prototypes')?.push({ ...row }))).toEqual([
      `public.prototypes (${row.key}) of a purged tenant is left behind.`,
      `public.prototypes (${row.key}): prototypes_pipeline_id_fkey points at nothing.`,
    ]);
  });

  it('names a row that was not there before', () => {
    const row = rowOf(world.survey, 'public.prototypes', 1);
    const values = new Map(row.values).set('id', '99');
    const added = { ...row, key: 'id=99', values };
    expect(differencesAfter((rows) => rows.get('public.prototypes')?.push(added))).toEqual([
      'public.prototypes (id=99) was not there before.',
    ]);
  });

  it('names a soft reference that was cleared although what it points at stays', () => {
    const { row, column, value } = softReference(world.survey, (owner) => owner === 1);
    expect(
      differencesAfter((rows) => {
        replace(rows, 'public.resources', { key: row.key, column, value: null });
      }),
    ).toEqual([`public.resources (${row.key}) of tenant 1: ${column} was ${value}, is NULL.`]);
  });

  it('names a soft reference that was turned to another row instead of cleared', () => {
    const { row, column, value } = softReference(world.survey, (owner) =>
      purged.includes(Number(owner)),
    );
    const other = softReference(world.survey, (owner) => owner === 1).value;
    expect(
      differencesAfter((rows) => {
        replace(rows, 'public.resources', { key: row.key, column, value: other });
      }),
    ).toEqual([`public.resources (${row.key}) of tenant 1: ${column} was ${value}, is ${other}.`]);
  });
});

type World = AsyncDisposable & {
  readonly facts: SchemaFacts;
  readonly pool: Pool;
  readonly filled: FilledSchema;
  readonly survey: Survey;
  end(): Promise<void>;
};

/** The application's schema with three tenants, in a database of its own. */
async function createWorld(application: Application, edges: Ownership): Promise<World> {
  const facts = readFacts(application);
  const database: TestDatabase = await createDatabase({ name: application });
  const pool = new Pool({ connectionString: database.url, max: 1 });
  const end = async () => {
    await pool.end();
    await database.drop();
  };
  const options: FillOptions = {
    tenants: 3,
    rows: 3,
    edges,
    cross: 40,
    virtual: virtualTenants.includes(application),
  };
  try {
    await loadSchema(pool, facts);
    const filled = await fillSchema(pool, facts, options);
    const survey = await surveyOwners(pool, facts, filled);
    return { facts, pool, filled, survey, end, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

function countsOf(survey: Survey) {
  return sorted(
    new Map(
      [...survey.totals].map(([table, owners]) => [
        table,
        new Map([...owners].map(([owner, { count }]) => [owner, count])),
      ]),
    ),
  );
}

function sorted(counts: FilledSchema['counts']) {
  return [...counts]
    .map(([table, owners]) => [table, Object.fromEntries(owners)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

async function danglingKeys(pool: Pool, facts: SchemaFacts): Promise<string[]> {
  const results = await runScript(
    pool,
    facts.foreignKeys.map(({ from, to }) => {
      const set = from.columns.map((column) => `a.${quoteList([column])} is not null`);
      const equal = from.columns.map(
        (column, at) => `a.${quoteList([column])} = b.${quoteList([to.columns[at] ?? ''])}`,
      );
      return (
        `select count(*) from ${quoteTable(from.schema, from.table)} a where ${set.join(' and ')} ` +
        `and not exists (select from ${quoteTable(to.schema, to.table)} b where ${equal.join(' and ')})`
      );
    }),
  );
  return facts.foreignKeys
    .filter((_, at) => results[at]?.rows[0]?.[0] !== '0')
    .map(({ name }) => name);
}

/** What a purge should leave: the survivors, without their soft references to what is gone. */
function purge(before: Survey, purged: readonly number[]): Survey {
  const gone = new Set<SurveyedRow['owner']>(purged);
  const rows = new Map(
    [...before.rows].map(([table, list]) => [
      table,
      list
        .filter(({ owner }) => !gone.has(owner))
        .map((row) => ({ ...row, values: new Map(row.values) })),
    ]),
  );
  for (const edge of before.graph.edges.filter(isSoft)) {
    const targets = indexRows(before.rows.get(edge.to) ?? [], edge.references);
    for (const row of rows.get(edge.from) ?? []) {
      const target = targets.get(valuesKey(row, edge.columns) ?? '')?.[0];
      if (target === undefined || !gone.has(target.owner)) continue;
      for (const column of edge.columns) row.values.set(column, null);
    }
  }
  return judge(before, rows);
}

function judge(before: Survey, rows: Map<string, SurveyedRow[]>): Survey {
  return judgeRows(before.graph, before.filled, rows);
}

function rowOf(survey: Survey, table: string, owner: SurveyedRow['owner']): SurveyedRow {
  const row = survey.rows.get(table)?.find((other) => other.owner === owner);
  if (row === undefined) throw new Error(`${table} has no row of ${owner}.`);
  return row;
}

/** A resource of tenant 1 and its soft reference to a row of an owner that fits. */
function softReference(survey: Survey, fits: (owner: SurveyedRow['owner']) => boolean) {
  const found = survey.graph.edges
    .filter((edge) => edge.from === 'public.resources' && isSoft(edge))
    .flatMap(({ columns: [column = ''], to, references }) => {
      const targets = indexRows(survey.rows.get(to) ?? [], references);
      return (survey.rows.get('public.resources') ?? []).flatMap((row) => {
        const value = row.values.get(column) ?? null;
        const target = targets.get(JSON.stringify([value]))?.[0];
        return row.owner === 1 && target && fits(target.owner) ? [{ row, column, value }] : [];
      });
    });
  const [first] = found;
  if (first === undefined) throw new Error('No resource of tenant 1 has such a reference.');
  return first;
}

function replace(
  rows: Map<string, SurveyedRow[]>,
  table: string,
  change: { readonly key: string; readonly column: string; readonly value: string | null },
): void {
  const changed = (rows.get(table) ?? []).map((row) =>
    row.key === change.key
      ? { ...row, values: new Map(row.values).set(change.column, change.value) }
      : row,
  );
  rows.set(table, changed);
}
