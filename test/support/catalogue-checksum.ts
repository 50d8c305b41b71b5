import type { ChainableCommander, Redis } from 'ioredis';
import type { Pool } from 'pg';

/** Per table, over the whole catalogue: how many rows, and a digest of their bytes in order. */
export type CatalogueChecksum = Readonly<Record<string, string>>;

interface Parent {
  readonly parent: string;
  readonly pairs: readonly (readonly [column: string, referenced: string])[];
}

interface Relation {
  readonly name: string;
  readonly columns: readonly string[];
  readonly parents: readonly Parent[];
}

/** Hops a row may be away from its tenant. */
const HOPS_MAX = 4;

/**
 * The oracle, which shares no code with the planner: every ordinary table and every leaf outside the
 * ledger, each row as text. Rows whose `tenant_id` (or that of the row they refer to) is one of
 * `except` are left out; rows of nobody count.
 */
export async function catalogueChecksum(
  pool: Pool,
  options: { readonly except: readonly string[]; readonly tenantTable?: string },
): Promise<CatalogueChecksum> {
  const relations = await readRelations(pool);
  const tenantTable = options.tenantTable ?? 'public.tenants';
  const checksum: Record<string, string> = {};
  for (const relation of relations.values()) {
    const owner = ownerOf(relations, relation, 't', tenantTable, HOPS_MAX);
    const kept = owner === null ? 'true' : `(${owner} = any($1)) is not true`;
    const { rows } = await pool.query(
      `select count(*) || ' rows ' || coalesce(md5(string_agg(t::text, E'\\n' order by t::text)), '') as sum
       from only ${relation.name} t where $1::text[] is not null and ${kept}`,
      [[...options.except]],
    );
    checksum[relation.name] = String(rows[0]?.sum);
  }
  return checksum;
}

/** Where every sequence stands. */
export async function sequenceValues(pool: Pool): Promise<Readonly<Record<string, unknown>>> {
  const { rows } = await pool.query(
    `select format('%I.%I', schemaname, sequencename) as name, last_value from pg_sequences
     where schemaname <> 'tenant_purge' order by 1`,
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.last_value]));
}

async function readRelations(pool: Pool): Promise<Map<string, Relation>> {
  const { rows } = await pool.query(`
    select format('%I.%I', n.nspname, c.relname) as name,
           array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0
                 and not attisdropped) as columns,
           coalesce((select jsonb_agg(jsonb_build_object(
               'parent', (select format('%I.%I', pn.nspname, p.relname) from pg_class p
                          join pg_namespace pn on pn.oid = p.relnamespace where p.oid = k.confrelid),
               'pairs', (select jsonb_agg(jsonb_build_array(a.attname, f.attname))
                         from unnest(k.conkey, k.confkey) as u (child, parent)
                         join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.child
                         join pg_attribute f on f.attrelid = k.confrelid and f.attnum = u.parent))
               order by k.conname)
             from pg_constraint k where k.contype = 'f' and k.conrelid = c.oid
               and k.confrelid <> c.oid), '[]') as parents
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema$|tenant_purge$)'
    order by 1`);
  return new Map(rows.map((row) => [row.name, row]));
}

/** SQL for the tenant that a row belongs to, or null where nothing leads to one. */
function ownerOf(
  relations: ReadonlyMap<string, Relation>,
  relation: Relation,
  alias: string,
  tenantTable: string,
  hops: number,
): string | null {
  if (relation.name === tenantTable) return `${alias}.id::text`;
  if (relation.columns.includes('tenant_id')) return `${alias}.tenant_id::text`;
  if (hops === 0) return null;
  for (const { parent, pairs } of relation.parents) {
    const known = relations.get(parent);
    if (known === undefined) continue;
    const owner = ownerOf(relations, known, `${alias}p`, tenantTable, hops - 1);
    if (owner === null) continue;
    const on = pairs.map(([child, key]) => `${alias}p."${key}" = ${alias}."${child}"`);
    return `(select ${owner} from ${parent} ${alias}p where ${on.join(' and ')})`;
  }
  return null;
}

/** Keys per DUMP pipeline. */
const DUMPS = 1_000;

/**
 * Every key with its DUMP or its members, but the queue's own, the identity marker and those of `except`: exactly
 * `tenant:{id}:…` and `ratelimit:{id}`.
 */
export async function redisChecksum(
  redis: Redis,
  options: { readonly except: readonly string[] },
): Promise<ReadonlyMap<string, string>> {
  const doomed = new Set(options.except);
  const isDoomed = (key: string): boolean => {
    const [first, id, ...rest] = key.split(':');
    if (id === undefined || !doomed.has(id)) return false;
    return first === 'tenant' ? rest.length > 0 : first === 'ratelimit' && rest.length === 0;
  };
  const keys = (await redis.keys('*'))
    .filter((key) => !key.startsWith('bull:') && key !== 'tenant-purge:identity' && !isDoomed(key))
    .sort();
  const contents = new Map<string, string>();
  for (let start = 0; start < keys.length; start += DUMPS) {
    const chunk = keys.slice(start, start + DUMPS);
    const types = await replies(redis, chunk, (pipeline, key) => pipeline.type(key));
    const values = await replies(redis, chunk, (pipeline, key, index) => {
      // The order in which a set or a hash is dumped is Redis's own affair.
      if (types[index] === 'set') return pipeline.smembers(key);
      return types[index] === 'hash' ? pipeline.hgetall(key) : pipeline.dumpBuffer(key);
    });
    for (const [index, key] of chunk.entries()) contents.set(key, textOf(values[index]));
  }
  return contents;
}

async function replies(
  redis: Redis,
  keys: readonly string[],
  ask: (pipeline: ChainableCommander, key: string, index: number) => unknown,
): Promise<unknown[]> {
  const pipeline = redis.pipeline();
  for (const [index, key] of keys.entries()) ask(pipeline, key, index);
  return ((await pipeline.exec()) ?? []).map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

function textOf(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (Array.isArray(value)) return JSON.stringify([...value].sort());
  return JSON.stringify(Object.entries(value ?? {}).sort());
}
