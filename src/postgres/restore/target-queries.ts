/** Questions about the tables named in $1; each row says which table it is about by its oid. */

const ASKED = `asked as materialized (
    select name, to_regclass(name) as oid from unnest($1::text[]) as t (name)
  ), named as materialized (
    select a.name, c.* from asked a join pg_class c on c.oid = a.oid where c.relkind in ('r', 'p')
  ), member as materialized (
    select n.oid as root, n.oid as oid from named n where n.relkind = 'r'
    union all
    select n.oid, p.relid from named n cross join pg_partition_tree(n.oid) p where n.relkind = 'p'
  )`;

/** Names of the columns whose numbers an array holds, in its order; NULL for an expression. */
const namesOf = (relation: string, numbers: string): string => `array(
    select col.attname::text from unnest(${numbers}) with ordinality as num (attnum, place)
    left join pg_attribute col on col.attrelid = ${relation} and col.attnum = num.attnum
      and num.attnum <> 0
    order by num.place)`;

const operatorName = (alias: string): string =>
  `format('operator(%I.%s)', (select nspname from pg_namespace where oid = ${alias}.oprnamespace), ${alias}.oprname)`;

export interface TableRow {
  readonly asked: string;
  readonly oid: string;
  readonly kind: 'r' | 'p';
  readonly row_security: boolean;
  readonly missing: string[];
  readonly estimated_rows: number;
}

export const TABLES = `with ${ASKED}
  select n.name as asked, n.oid::text as oid, n.relkind as kind,
    (select bool_or(row_security_active(m.oid)) from member m where m.root = n.oid) as row_security,
    array_remove(array[
      case when not has_schema_privilege(n.relnamespace, 'USAGE') then 'USAGE' end,
      case when not has_table_privilege(n.oid, 'SELECT') then 'SELECT' end,
      case when not has_table_privilege(n.oid, 'INSERT') then 'INSERT' end,
      case when not has_table_privilege(n.oid, 'UPDATE') then 'UPDATE' end], null) as missing,
    (select case when bool_or(c.reltuples < 0) then -1 else sum(c.reltuples) end
     from member m join pg_class c on c.oid = m.oid and c.relkind = 'r'
     where m.root = n.oid)::float8 as estimated_rows
  from named n`;

export interface ColumnRow {
  readonly table_oid: string;
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  readonly generated: boolean;
  readonly expression: string | null;
  readonly reads: string[];
  readonly fill: string | null;
  readonly identity: boolean;
}

/** Of a generated column also how it is computed, and the columns of the table that this reads. */
export const COLUMNS = `with ${ASKED}
  select n.oid::text as table_oid, a.attname::text as name,
    format_type(a.atttypid, a.atttypmod) as type,
    -- COPY takes a NULL for a column that it is not given, whatever the domain says.
    a.attnotnull or (t.typtype = 'd' and (
      with recursive base as (
        select t.typnotnull as bound, t.typbasetype as next
        union all
        select b.typnotnull, b.typbasetype from base join pg_type b on b.oid = base.next
          and b.typtype = 'd'
      ) select bool_or(bound) from base)) as "notNull",
    a.atthasdef or a.attidentity <> '' or t.typdefault is not null as "hasDefault",
    a.attgenerated <> '' as generated, a.attidentity <> '' as identity,
    case when a.attgenerated <> '' then (
      select pg_get_expr(f.adbin, f.adrelid) from pg_attrdef f
      where f.adrelid = n.oid and f.adnum = a.attnum) end as expression,
    -- The server keeps it as an array of one value.
    case when a.atthasmissing then (a.attmissingval::text::text[])[1] end as fill,
    array(select r.attname::text from pg_attrdef f
      join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = n.oid
        and d.objsubid = a.attnum and d.refclassid = 'pg_class'::regclass and d.refobjid = n.oid
        and d.refobjsubid > 0
      join pg_attribute r on r.attrelid = n.oid and r.attnum = d.refobjsubid
      where a.attgenerated <> '' and f.adrelid = n.oid and f.adnum = a.attnum
      order by r.attnum) as reads
  from named n join pg_attribute a on a.attrelid = n.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  order by n.oid, a.attnum`;

export interface UniqueRow {
  readonly table_oid: string;
  readonly name: string;
  readonly primary: boolean;
  readonly exclusion: boolean;
  readonly elements: string[];
  readonly operators: string[];
  readonly collations: (string | null)[];
  readonly columns: string[] | null;
  readonly predicate: string | null;
  readonly nulls_equal: boolean;
}

/** Of a btree the operator of equality of its class; of an exclusion constraint its own operators. */
export const UNIQUES = `with ${ASKED}
  select n.oid::text as table_oid, ic.relname::text as name, i.indisprimary as primary,
    i.indisexclusion as exclusion,
    array(select pg_get_indexdef(i.indexrelid, k, true)
          from generate_series(1, i.indnkeyatts::int) k order by k) as elements,
    coalesce(
      (select array(select ${operatorName('o')}
         from unnest(x.conexclop) with ordinality as e (oid, place) join pg_operator o on o.oid = e.oid
         order by e.place)
       from pg_constraint x where x.conindid = i.indexrelid and x.conexclop is not null
         and x.conrelid = n.oid limit 1),
      array(select ${operatorName('o')}
        from unnest(i.indclass) with ordinality as k (opclass, place)
        join pg_opclass c on c.oid = k.opclass
        join pg_amop m on m.amopfamily = c.opcfamily and m.amopstrategy = 3
          and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
        join pg_operator o on o.oid = m.amopopr order by k.place)) as operators,
    array(select case when co.oid is not null then format('%I.%I', cn.nspname, co.collname) end
      from unnest(i.indcollation) with ordinality as k (oid, place)
      left join pg_collation co on co.oid = k.oid left join pg_namespace cn on cn.oid = co.collnamespace
      order by k.place) as collations,
    case when i.indexprs is null then
      (${namesOf('n.oid', 'i.indkey::int2[]')})[1:i.indnkeyatts] end as columns,
    pg_get_expr(i.indpred, i.indrelid, true) as predicate,
    coalesce((to_jsonb(i)->>'indnullsnotdistinct')::boolean, false) as nulls_equal
  from named n join pg_index i on i.indrelid = n.oid
  join pg_class ic on ic.oid = i.indexrelid
  where (i.indisunique or i.indisexclusion) and i.indislive
  order by n.oid, i.indisprimary desc, ic.relname`;

export interface CheckRow {
  readonly table_oid: string;
  readonly name: string;
  readonly sql: string;
  readonly columns: string[];
}

export const CHECKS = `with ${ASKED}
  select n.oid::text as table_oid, c.conname::text as name,
    pg_get_expr(c.conbin, c.conrelid, true) as sql,
    ${namesOf('n.oid', "coalesce(c.conkey, '{}')")} as columns
  from named n join pg_constraint c on c.conrelid = n.oid and c.contype = 'c'
  where coalesce((to_jsonb(c)->>'conenforced')::boolean, true)
  order by n.oid, c.conname`;

export interface TriggerRow {
  readonly table_oid: string;
  readonly schema: string;
  readonly relation: string;
  readonly trigger: string;
  readonly on_insert: boolean;
  readonly on_update: boolean;
  readonly always: boolean;
}

/** Those of a partition that it has from its root are the root's. Our own of the prevention lets a restore in. */
export const TRIGGERS = `with ${ASKED}
  select m.root::text as table_oid, s.nspname::text as schema, c.relname::text as relation,
    t.tgname::text as trigger, (t.tgtype & 4) <> 0 as on_insert, (t.tgtype & 16) <> 0 as on_update,
    t.tgenabled = 'A' as always
  from member m join pg_trigger t on t.tgrelid = m.oid
  join pg_class c on c.oid = m.oid join pg_namespace s on s.oid = c.relnamespace
  where not t.tgisinternal and t.tgparentid = 0 and t.tgenabled in ('O', 'A')
    and (t.tgtype & 20) <> 0 and not exists (
      select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where p.oid = t.tgfoid and n.nspname = 'tenant_purge')
  order by 1, 2, 3, 4`;

export interface SequenceRow {
  readonly table_oid: string;
  readonly sequence: string;
  readonly column: string;
  readonly readable: boolean;
}

/** Owned by a column, its identity's, or called by its default. */
export const SEQUENCES = `with ${ASKED}
  select distinct table_oid, format('%I.%I', s.nspname, c.relname) as sequence, attname as column,
    has_sequence_privilege(c.oid, 'SELECT') as readable
  from (
    select n.oid::text as table_oid, d.objid as sequence, a.attname::text as attname
    from named n join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = n.oid
      and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
    join pg_attribute a on a.attrelid = n.oid and a.attnum = d.refobjsubid
    union all
    select n.oid::text, d.refobjid, a.attname::text
    from named n join pg_attrdef f on f.adrelid = n.oid
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
      and d.refclassid = 'pg_class'::regclass
    join pg_attribute a on a.attrelid = n.oid and a.attnum = f.adnum
  ) used join pg_class c on c.oid = used.sequence and c.relkind = 'S'
  join pg_namespace s on s.oid = c.relnamespace
  order by 1, 2`;

export interface LeafRow {
  readonly table_oid: string;
  readonly condition: string;
}

/** A single partition that takes all has no condition. */
export const LEAVES = `with ${ASKED}
  select m.root::text as table_oid,
    coalesce(pg_get_partition_constraintdef(m.oid), 'true') as condition
  from member m join named n on n.oid = m.root and n.relkind = 'p'
  join pg_class c on c.oid = m.oid and c.relkind <> 'p'
  order by m.oid`;

export interface DividingRow {
  readonly table_oid: string;
  readonly columns: (string | null)[];
}

export const DIVIDING = `with ${ASKED}
  select m.root::text as table_oid, ${namesOf('p.partrelid', 'p.partattrs::int2[]')} as columns
  from member m join pg_partitioned_table p on p.partrelid = m.oid`;

export interface KeyRow {
  readonly name: string;
  readonly child_oid: string;
  readonly child_root: string;
  readonly child_schema: string;
  readonly child_relation: string;
  readonly columns: string[];
  readonly parent_root: string;
  readonly parent_schema: string;
  readonly parent_relation: string;
  readonly referenced: string[];
  readonly operators: string[];
  readonly match_full: boolean;
  readonly period: boolean;
}

/** Keys of the tables and of single partitions of theirs; not those that a partition has from its root. */
export const KEYS = `with ${ASKED}
  select k.conname::text as name, k.conrelid::text as child_oid, m.root::text as child_root,
    cs.nspname::text as child_schema, cc.relname::text as child_relation,
    ${namesOf('k.conrelid', 'k.conkey')} as columns,
    coalesce(pg_partition_root(k.confrelid)::oid, k.confrelid)::text as parent_root,
    ps.nspname::text as parent_schema, pc.relname::text as parent_relation,
    ${namesOf('k.confrelid', 'k.confkey')} as referenced,
    array(select ${operatorName('o')}
      from unnest(k.conpfeqop) with ordinality as e (oid, place) join pg_operator o on o.oid = e.oid
      order by e.place) as operators,
    k.confmatchtype = 'f' as match_full,
    coalesce((to_jsonb(k)->>'conperiod')::boolean, false) as period
  from member m join pg_constraint k on k.conrelid = m.oid and k.contype = 'f' and k.conparentid = 0
  join pg_class cc on cc.oid = k.conrelid join pg_namespace cs on cs.oid = cc.relnamespace
  join pg_class pc on pc.oid = k.confrelid join pg_namespace ps on ps.oid = pc.relnamespace
  where coalesce((to_jsonb(k)->>'conenforced')::boolean, true)
  order by 1, 2`;
