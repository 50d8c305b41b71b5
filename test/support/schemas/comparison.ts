import { type Edge, tableOf } from './graph.ts';
import { indexRows, type Survey, type SurveyedRow, softEdges, valuesKey } from './oracle.ts';

/**
 * What is not as it should be after the tenants with the numbers in `purged` are gone, one line
 * for each: rows lost, changed, come up or left behind, keys that point at nothing. Empty if all
 * is well. Under `strict` a survivor may lose a soft reference, from a value to NULL, and only one
 * that pointed at a purged tenant's row.
 */
export function compareSurveys(
  before: Survey,
  after: Survey,
  { purged }: { readonly purged: readonly number[] },
): string[] {
  const gone = new Set<SurveyedRow['owner']>(purged);
  const differences = [...before.rows].flatMap(([table, rows]) => {
    const survivors = rows.filter(({ owner }) => !gone.has(owner));
    const doomed = rows.filter(({ owner }) => gone.has(owner));
    const allowed = new Map(
      survivors.map((row) => [row, clearedColumns(before, table, { row, gone })]),
    );
    const identify = identityOf(before, table);
    const { lost, kept, others } = matchRows(identify, survivors, after.rows.get(table) ?? []);
    const left = new Set(doomed.map(identify));
    return [
      ...lost.map((row) => `${table} (${row.key}) of ${nameOf(row)} is lost.`),
      ...kept.flatMap(([was, is]) =>
        compareRow(table, { was, is, allowed: allowed.get(was) ?? new Set() }),
      ),
      ...others.map((row) =>
        left.has(identify(row))
          ? `${table} (${row.key}) of a purged tenant is left behind.`
          : `${table} (${row.key}) was not there before.`,
      ),
    ];
  });
  return [...differences, ...after.faults];
}

type Matches = {
  readonly lost: SurveyedRow[];
  readonly kept: (readonly [was: SurveyedRow, is: SurveyedRow])[];
  readonly others: SurveyedRow[];
};

/** What stays of a row: its primary key, or all columns but those that it may lose. */
function identityOf(survey: Survey, table: string): (row: SurveyedRow) => string {
  if (tableOf(survey.graph, table).primaryKey.length > 0) return ({ key }) => key;
  const soft = new Set(softEdges(survey, table).flatMap(({ columns }) => columns));
  return ({ values }) => JSON.stringify([...values].filter(([column]) => !soft.has(column)));
}

function matchRows(
  identify: (row: SurveyedRow) => string,
  survivors: readonly SurveyedRow[],
  rows: readonly SurveyedRow[],
): Matches {
  const present = new Map<string, SurveyedRow[]>();
  for (const row of rows) {
    present.set(identify(row), [...(present.get(identify(row)) ?? []), row]);
  }
  const kept: [SurveyedRow, SurveyedRow][] = [];
  const keep = (was: SurveyedRow, fits: (is: SurveyedRow) => boolean) => {
    const alike = present.get(identify(was)) ?? [];
    const at = alike.findIndex(fits);
    const [is] = at < 0 ? [] : alike.splice(at, 1);
    if (is !== undefined) kept.push([was, is]);
    return is !== undefined;
  };
  // Rows that did not change first, so that none of them is taken for another that is alike.
  const changed = survivors.filter((was) => !keep(was, (is) => contents(is) === contents(was)));
  const lost = changed.filter((was) => !keep(was, () => true));
  return { lost, kept, others: [...present.values()].flat() };
}

function compareRow(
  table: string,
  {
    was,
    is,
    allowed,
  }: {
    readonly was: SurveyedRow;
    readonly is: SurveyedRow;
    readonly allowed: ReadonlySet<string>;
  },
): string[] {
  const name = `${table} (${was.key}) of ${nameOf(was)}`;
  const changes = [...was.values].flatMap(([column, value]) => {
    const now = is.values.get(column) ?? null;
    if (now === value || (now === null && allowed.has(column))) return [];
    return [`${name}: ${column} was ${value ?? 'NULL'}, is ${now ?? 'NULL'}.`];
  });
  return was.owner === is.owner ? changes : [...changes, `${name} now belongs to ${nameOf(is)}.`];
}

/** Columns of the row's references to rows that go. */
function clearedColumns(
  survey: Survey,
  table: string,
  { row, gone }: { readonly row: SurveyedRow; readonly gone: ReadonlySet<SurveyedRow['owner']> },
): Set<string> {
  const cleared = softEdges(survey, table).filter((edge) => {
    const target = targetOf(survey, edge, row);
    return target !== undefined && gone.has(target.owner);
  });
  return new Set(cleared.flatMap(({ columns }) => columns));
}

function targetOf(survey: Survey, edge: Edge, row: SurveyedRow): SurveyedRow | undefined {
  const key = valuesKey(row, edge.columns);
  if (key === undefined) return undefined;
  return indexOf(survey, edge).get(key)?.[0];
}

const indexes = new WeakMap<Survey, Map<Edge, Map<string, SurveyedRow[]>>>();

function indexOf(survey: Survey, edge: Edge): Map<string, SurveyedRow[]> {
  const known = indexes.get(survey) ?? new Map<Edge, Map<string, SurveyedRow[]>>();
  indexes.set(survey, known);
  const index = known.get(edge) ?? indexRows(survey.rows.get(edge.to) ?? [], edge.references);
  known.set(edge, index);
  return index;
}

function contents(row: SurveyedRow): string {
  return JSON.stringify([...row.values]);
}

function nameOf({ owner }: SurveyedRow): string {
  return owner === 'nobody' ? 'nobody' : `tenant ${owner}`;
}
