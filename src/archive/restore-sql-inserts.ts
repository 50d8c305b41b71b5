import type { TableName } from '../domain/ids.ts';
import type { Stage } from './restore-sql-stages.ts';
import { comment, doBlock, literal, quoted } from './sql-text.ts';

/** The inserts of `restore.sql`: a statement a group, which fails where a trigger keeps a row out. */
export function renderInserts(
  groups: readonly (readonly TableName[])[],
  stages: readonly Stage[],
): string[] {
  return groups.map((tables) => {
    const inserts = tables.map((table) => {
      const ofTable = stages.filter(({ layout }) => layout.table === table);
      return {
        table,
        sql: insertOf(table, ofTable),
        rows: ofTable.reduce((sum, { rows }) => sum + rows, 0),
      };
    });
    const [only, ...others] = inserts;
    if (only === undefined) return '';
    return others.length === 0 ? insertOne(only) : insertCircle(inserts);
  });
}

interface Insert {
  readonly table: TableName;
  readonly sql: string;
  readonly rows: number;
}

const insertOne = ({ table, sql, rows }: Insert): string =>
  `${comment(table)}
${doBlock(`declare inserted bigint;
begin
  ${sql};
  get diagnostics inserted = row_count;
  if inserted <> ${rows} then
    raise exception '%: % rows went in, ${rows} were archived; does a trigger keep rows out?',
      ${literal(table)}, inserted;
  end if;
end`)}`;

/** Foreign keys are checked at the end of the statement: when the rows of all its tables are there. */
const insertCircle = (inserts: readonly Insert[]): string =>
  `${comment(inserts.map(({ table }) => table).join(', '))}
${doBlock(`declare inserted bigint[];
begin
  with ${inserts.map(({ sql }, index) => `i${index + 1} as (\n  ${sql}\n  returning 1)`).join(', ')}
  select array[${inserts.map((_, index) => `(select count(*) from i${index + 1})`).join(', ')}]
  into inserted;
  if inserted <> array[${inserts.map(({ rows }) => rows).join(', ')}]::bigint[] then
    raise exception '%: % rows went in, % were archived; does a trigger keep rows out?',
      ${literal(inserts.map(({ table }) => table).join(', '))}, inserted,
      '{${inserts.map(({ rows }) => rows).join(',')}}';
  end if;
end`)}`;

/** Leaves may have their columns in another order: by name. One statement, for rows that refer to their own table. */
function insertOf(table: TableName, stages: readonly Stage[]): string {
  const written = (stages[0]?.layout.columns ?? []).filter(({ generated }) => !generated);
  const selects = stages.map(({ name, layout }) => {
    const positions = new Map(layout.columns.map((column, index) => [column.name, index + 1]));
    return `select ${written.map((column) => `c${positions.get(column.name)}`).join(', ')} from pg_temp.${name}`;
  });
  const overriding = written.some(({ identity }) => identity === 'always')
    ? ' overriding system value'
    : '';
  return `insert into ${table} (${written.map(({ name }) => quoted(name)).join(', ')})${overriding}
  ${selects.join('\n  union all ')}`;
}
