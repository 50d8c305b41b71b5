import type { ColumnFacts, TableFacts } from './facts.ts';
import { mandatoryColumns } from './graph.ts';
import { isNarrow } from './values.ts';

/** Column → value as text; a column that is not yet decided is missing. */
export type Values = Map<string, string | null>;

/** Columns that may not be the same in two rows. */
export type UniqueSet = {
  readonly columns: readonly string[];
  /** The columns that decide whether it applies to a row. */
  readonly conditions: readonly string[];
  /** What tells one row from another, or undefined where the set does not apply to it. */
  keyOf(values: Values): string | undefined;
};

/** The unique sets of a table that could clash: those without a column whose values all differ. */
export function uniqueSets(
  table: TableFacts,
  options: {
    readonly keyColumns: ReadonlySet<string>;
    readonly labelsOf: (column: ColumnFacts) => readonly string[] | undefined;
  },
): UniqueSet[] {
  const mandatory = mandatoryColumns(table);
  const alwaysDiffers = (name: string) =>
    table.columns.some(
      (column) =>
        column.name === name &&
        mandatory.has(name) &&
        !options.keyColumns.has(name) &&
        column.generated === undefined &&
        !isNarrow(column, options.labelsOf(column)),
    );
  return [
    { columns: table.primaryKey },
    ...table.uniques.map((columns) => ({ columns })),
    ...table.indexes
      .filter((index) => index.unique)
      .map((index) => ({
        ...index,
        columns: index.expression === true ? columnsIn(table, index.columns.join()) : index.columns,
        nullsNotDistinct: index.nullsNotDistinct === true || index.expression === true,
      })),
  ]
    .filter(({ columns }) => columns.length > 0 && !columns.some(alwaysDiffers))
    .map((set) => makeSet(table, set));
}

function makeSet(
  table: TableFacts,
  {
    columns,
    where = '',
    nullsNotDistinct = false,
  }: {
    readonly columns: readonly string[];
    readonly where?: string;
    readonly nullsNotDistinct?: boolean;
  },
): UniqueSet {
  const covers = parseConditions(where);
  return {
    columns,
    conditions: columnsIn(table, where),
    keyOf(values) {
      if (!covers(values)) return undefined;
      const key = columns.map((column) => values.get(column) ?? null);
      return key.includes(null) && !nullsNotDistinct ? undefined : JSON.stringify(key);
    },
  };
}

/** Names that the expression mentions, perhaps with some that it only contains. */
function columnsIn(table: TableFacts, expression: string): string[] {
  const words = new Set(expression.match(/\w+/g));
  return table.columns.map(({ name }) => name).filter((name) => words.has(name));
}

/**
 * Whether a partial index covers a row. Knows conjunctions of simple terms; a term that it does not
 * know counts as true, which only makes a set stricter than the index.
 */
function parseConditions(where: string): (values: Values) => boolean {
  const terms = where
    .replace(/::[\w ]+|[()"]/g, '')
    .split(/\s+AND\s+/i)
    .map(parseTerm);
  return (values) => terms.every((term) => term(values));
}

function parseTerm(text: string): (values: Values) => boolean {
  const [, name = '', test = ''] = /^\s*(\w+)\s*(.*?)\s*$/.exec(text) ?? [];
  const valueOf = (values: Values) => values.get(name) ?? null;
  if (/^is null$/i.test(test)) return (values) => valueOf(values) === null;
  if (/^is not null$/i.test(test)) return (values) => valueOf(values) !== null;
  if (name !== '' && /^$|^(?:= |is )true$/i.test(test)) return (values) => valueOf(values) === 't';
  const literal = /^= '?([^']*)'?$/.exec(test)?.[1];
  return literal === undefined ? () => true : (values) => valueOf(values) === literal;
}
