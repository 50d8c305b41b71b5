import type { Stage } from './restore-sql-stages.ts';
import { comment, doBlock, literal, literals, quoted } from './sql-text.ts';

/**
 * Gives changed rows back what they had: only columns that the purge changed, only where they still have
 * what it left, the last change first. Which columns these are is seen in the rows. A row is found by
 * its primary key; without one by all its values, twins each to its own.
 */
export function renderChange(stage: Stage): string {
  const { layout, name, rows } = stage;
  const written = layout.columns.flatMap((column, index) =>
    column.generated ? [] : [{ ...column, position: index + 1 }],
  );
  const key = written.filter((column) => layout.primaryKey.includes(column.name));
  const valuesOf = (alias: string): string =>
    `array[${written.map((column) => textOf(alias, column.name)).join(', ')}]`;
  const afters = `array[${written.map(({ position }) => `a${position}`).join(', ')}]`;
  const source =
    key.length > 0
      ? `pg_temp.${name} as s
       where s.seq = $1
         and ${key.map((column) => `t.${quoted(column.name)} = s.a${column.position}::${column.type}`).join(' and ')}`
      : `(select *, ${afters} as row, row_number() over (partition by ${afters}) as twin
          from pg_temp.${name} where seq = $1) as s
       join (select o.ctid as place, o.tableoid as leaf, ${valuesOf('o')} as row,
            row_number() over (partition by ${valuesOf('o')}) as twin
          from %1$s as o) as k on k.row = s.row and k.twin = s.twin
       where t.ctid = k.place and t.tableoid = k.leaf`;

  return `${comment(`${layout.relation}: rows that were changed`)}
${doBlock(`declare
  names text[] := array[${literals(written.map((column) => column.name))}];
  types text[] := array[${literals(written.map((column) => column.type))}];
  positions int[] := array[${written.map(({ position }) => position).join(', ')}];
  assignments text[] := '{}';
  conditions text[] := '{}';
  differs boolean;
  target text;
  chunk bigint;
  updated bigint;
  total bigint := 0;
begin
  for i in 1 .. cardinality(names) loop
    execute format('select exists (select from pg_temp.${name} where b%1$s is distinct from a%1$s)',
      positions[i]) into differs;
    continue when not differs;
    assignments := assignments || format(
      '%1$I = case when s.b%2$s is distinct from s.a%2$s then s.b%2$s::%3$s else t.%1$I end',
      names[i], positions[i], types[i]);
    conditions := conditions || format(
      '(s.b%2$s is not distinct from s.a%2$s or ${textOf('t', '%1$I', true)} is not distinct from s.a%2$s)',
      names[i], positions[i]);
  end loop;
  if cardinality(assignments) > 0 then
    -- A table that others inherit from is not its heirs; a partitioned one is its partitions.
    select case relkind when 'p' then '' else 'only ' end || ${literal(layout.table)} into target
    from pg_class where oid = ${literal(layout.table)}::regclass;
    for chunk in select distinct seq from pg_temp.${name} order by seq desc loop
      execute format(${literal(`update %1$s as t set %2$s
       from ${escapeFormat(source)}
         and %3$s`)},
        target, array_to_string(assignments, ', '), array_to_string(conditions, ' and '))
      using chunk;
      get diagnostics updated = row_count;
      total := total + updated;
    end loop;
  end if;
  raise notice '%: % of ${rows} changed rows have their old values again; others were changed or went since, or had them',
    ${literal(layout.relation)}, total;
end`)}`;
}

/** A column's value as COPY prints it: a cast to text would print boolean, inet and char(n) in another way. */
function textOf(alias: string, column: string, isFormatted = false): string {
  const place = isFormatted ? `${alias}.${column}` : `${alias}.${quoted(column)}`;
  const quote = isFormatted ? "''" : "'";
  const percent = isFormatted ? '%%' : '%';
  return `case when num_nulls(${place}) = 0 then format(${quote}${percent}s${quote}, ${place}) end`;
}

/** Text that `format` shall leave as it is, but for its own `%1$s`. */
const escapeFormat = (sql: string): string => sql.replace(/%(?!1\$s)/g, '%%');
