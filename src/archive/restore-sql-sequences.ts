import type { Stage } from './restore-sql-stages.ts';
import { comment, doBlock, literal } from './sql-text.ts';

/**
 * Moves sequences that make values for a restored column behind the values that came back; never
 * backwards. Not undone by a rollback, which does no harm.
 */
export function renderSequences(stages: readonly Stage[]): string {
  const columns = stages.flatMap(({ name, layout }) =>
    layout.columns.flatMap((column, index) =>
      column.generated
        ? []
        : [`(${literal(layout.table)}, ${literal(column.name)}, '${name}', 'c${index + 1}')`],
    ),
  );
  return `${comment('Sequences')}
${doBlock(`declare
  found record;
  reached bigint;
  was_used boolean;
  top bigint;
begin
  for found in
    select v.stage, v.field, q.seqrelid::regclass as sequence, q.seqincrement > 0 as rises,
      q.seqmin, q.seqmax
    from (values ${columns.join(',\n      ')}) as v (tab, col, stage, field)
    join pg_attribute a on a.attrelid = v.tab::regclass and a.attname = v.col
      and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    join pg_sequence q on q.seqrelid in (
      -- An identity's, or one the column owns.
      select d.objid from pg_depend d
      where d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
        and d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid
        and d.refobjsubid = a.attnum
      union all
      -- One that its default asks.
      select d.refobjid from pg_attrdef f
      join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
        and d.refclassid = 'pg_class'::regclass
      where f.adrelid = a.attrelid and f.adnum = a.attnum)
  loop
    if not has_sequence_privilege(found.sequence, 'SELECT')
      or not has_sequence_privilege(found.sequence, 'UPDATE') then
      raise warning 'sequence % was not looked at: it takes SELECT and UPDATE on it', found.sequence;
      continue;
    end if;
    execute format('select %s(%I) from pg_temp.%I',
      case when found.rises then 'max' else 'min' end, found.field, found.stage) into top;
    execute format('select last_value, is_called from %s', found.sequence) into reached, was_used;
    if top between found.seqmin and found.seqmax
      and (found.rises and top > reached or not found.rises and top < reached
        or top = reached and not was_used) then
      perform setval(found.sequence, top);
      raise notice 'sequence % went from % to %', found.sequence, reached, top;
    end if;
  end loop;
end`)}`;
}
