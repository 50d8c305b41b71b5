import type pg from 'pg';
import { deleteSteps, type Plan } from '../domain/plan.ts';
import { arrayLiteral, column, literal } from './rows/row-predicate.ts';
import { inSavepoint } from './savepoint.ts';

const IDS_MAX = 20;
const TABLES_MAX = 200;
const TIMEOUT_MS = 2_000;

/**
 * Ids that are keys of rows of other tables of the plan, where a tenant's id was wanted: with the
 * tables, core tables first. Only the first ids and tables are looked at, by the index of the primary
 * key, for two seconds. A hint: what the role may not read, or what takes longer, is left out and
 * never an error.
 * @param client in a transaction, which goes on unharmed
 * @throws errors of the connection
 */
export async function findIdsElsewhere(
  client: pg.ClientBase,
  plan: Plan,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  if (ids.length === 0) return found;
  const asked = ids.slice(0, IDS_MAX);
  // Rolled back in any case, and the timeout with it.
  const rows = await inSavepoint(
    client,
    () => true,
    async () => {
      await client.query(`set local statement_timeout = ${TIMEOUT_MS}`);
      const questions = (await readKeys(client, plan)).flatMap((key) => questionOf(key, asked));
      if (questions.length === 0) return [];
      const answer = await client.query<{ table: string; id: string }>(
        questions.join(' union all '),
      );
      return answer.rows;
    },
  );
  for (const id of asked) {
    const keys = (rows ?? []).filter((row) => row.id.toLowerCase() === id.toLowerCase());
    const tables = coreFirst(plan, keys).map(({ table }) => table);
    if (tables.length > 0) found.set(id, tables);
  }
  return found;
}

interface SingleKey {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly partitioned: boolean;
}

/** Primary keys of one column that the role may read. */
async function readKeys(client: pg.ClientBase, plan: Plan): Promise<SingleKey[]> {
  const steps = deleteSteps(plan).filter(
    ({ table, primaryKey }) => table !== plan.tenant.table && primaryKey.length === 1,
  );
  const byName = new Map<string, (typeof steps)[number]>(
    coreFirst(plan, steps)
      .slice(0, TABLES_MAX)
      .map((step) => [step.table, step]),
  );
  const { rows } = await client.query<{ table: string; type: string }>(
    `select wanted.name as table, a.atttypid::regtype::text as type
     from unnest($1::text[], $2::text[]) wanted (name, key)
     join pg_namespace n on starts_with(wanted.name, format('%I.', n.nspname))
     join pg_class c on c.relnamespace = n.oid and format('%I.%I', n.nspname, c.relname) = wanted.name
     join pg_attribute a on a.attrelid = c.oid and a.attname = wanted.key
     where has_schema_privilege(n.oid, 'usage') and has_column_privilege(c.oid, a.attnum, 'select')`,
    [[...byName.keys()], [...byName.values()].map(({ primaryKey }) => primaryKey[0] ?? '')],
  );
  return rows.flatMap(({ table, type }) => {
    const step = byName.get(table);
    const name = step?.primaryKey[0];
    return step === undefined || name === undefined
      ? []
      : [{ table, name, type, partitioned: step.partitioned }];
  });
}

/** The form that an id must have to be compared with a key of the type, and as what. */
const FORMS: Readonly<Record<string, { readonly form: RegExp; readonly as: string }>> = {
  smallint: { form: /^-?\d{1,18}$/, as: 'bigint' },
  integer: { form: /^-?\d{1,18}$/, as: 'bigint' },
  bigint: { form: /^-?\d{1,18}$/, as: 'bigint' },
  uuid: { form: /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/i, as: 'uuid' },
  text: { form: /^/, as: 'text' },
  'character varying': { form: /^/, as: 'text' },
};

function questionOf(key: SingleKey, ids: readonly string[]): string[] {
  const known = FORMS[key.type];
  const fitting = known === undefined ? [] : ids.filter((id) => known.form.test(id));
  if (known === undefined || fitting.length === 0) return [];
  return [
    `(select ${literal(key.table)} as table, t.${column(key.name)}::text as id
      from ${key.partitioned ? '' : 'only '}${key.table} t
      where t.${column(key.name)} = any(${arrayLiteral(fitting)}::${known.as}[]) limit ${IDS_MAX})`,
  ];
}

function coreFirst<Item extends { readonly table: string }>(
  plan: Plan,
  items: readonly Item[],
): Item[] {
  const core = new Set<string>(plan.core);
  return [
    ...items.filter(({ table }) => core.has(table)),
    ...items.filter(({ table }) => !core.has(table)),
  ];
}
