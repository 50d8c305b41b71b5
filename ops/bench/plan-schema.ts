/** A schema to plan for: the shape of a large multi-tenant application, the same every time. */
interface PlanSchema {
  readonly tables: number;
  readonly foreignKeys: number;
  readonly statements: readonly string[];
}

interface Key {
  readonly child: string;
  readonly column: string;
  readonly parent: string;
  readonly more: string;
}

const SELF_EVERY = 20;
const CYCLE_EVERY = 25;
const WITHOUT_INDEX_EVERY = 10;

/**
 * `public.tenants` and tables below it, three to a parent, so that chains are as long as the
 * logarithm. Three in five have a `tenant_id`, half of these with a key; the others reach the tenant
 * by their parent. Besides: self references, circles of two, and nullable references for the rest.
 * @throws RangeError where so few keys are asked for that the chains alone have more
 */
export function planSchema(size: { readonly tables: number; readonly keys: number }): PlanSchema {
  const numbers = Array.from({ length: size.tables - 1 }, (_, index) => index + 1);
  const shaping = numbers.flatMap(shapingKeys);
  const missing = size.keys - shaping.length;
  if (missing < 0) throw new RangeError(`the schema's shape takes ${shaping.length} keys`);
  const keys = [...shaping, ...numbers.slice(0, missing).map(looseKey)];
  const columns = new Map(numbers.map((n) => [nameOf(n), [...OWN_COLUMNS, ...tenantColumn(n)]]));
  for (const key of keys) {
    if (key.column !== 'tenant_id')
      columns.get(key.child)?.push(`${key.column} uuid${nullability(key)}`);
  }
  return {
    tables: size.tables,
    foreignKeys: keys.length,
    statements: [
      'create table tenants (id uuid primary key, name text not null)',
      ...[...columns].map(([name, list]) => `create table ${name} (${list.join(', ')})`),
      ...keys.map(
        ({ child, column, parent, more }) =>
          `alter table ${child} add foreign key (${column}) references ${parent} ${more}`,
      ),
      ...keys
        .filter((_, index) => index % WITHOUT_INDEX_EVERY > 0)
        .map(({ child, column }) => `create index on ${child} (${column})`),
    ],
  };
}

const OWN_COLUMNS = ['id uuid primary key', 'name text', 'created_at timestamptz not null'];

const nameOf = (n: number): string => `t${String(n).padStart(4, '0')}`;

/** The first two have no parent but the tenant. */
const isTop = (n: number): boolean => n < 3;

const hasTenantColumn = (n: number): boolean => isTop(n) || n % 5 < 3;

const tenantColumn = (n: number): string[] =>
  hasTenantColumn(n) ? ['tenant_id uuid not null'] : [];

const nullability = ({ column }: Key): string => (column === 'parent_id' ? ' not null' : '');

/** What makes the schema what it is: owners, chains, self references and circles. */
function shapingKeys(n: number): Key[] {
  const child = nameOf(n);
  const above = nameOf(Math.floor(n / 3));
  const keys: Key[] = [];
  if (isTop(n) || (hasTenantColumn(n) && n % 2 === 0)) {
    keys.push({ child, column: 'tenant_id', parent: 'tenants', more: 'on delete cascade' });
  }
  if (!isTop(n)) {
    const more = n % 3 === 0 ? 'on delete cascade' : '';
    keys.push({ child, column: 'parent_id', parent: above, more });
  }
  if (n % SELF_EVERY === 0) keys.push({ child, column: 'previous_id', parent: child, more: '' });
  if (!isTop(n) && n % CYCLE_EVERY === 0) {
    keys.push({ child: above, column: `latest_${child}_id`, parent: child, more: '' });
  }
  return keys;
}

/** A mere reference, of a kind that never owns. */
const looseKey = (n: number): Key => ({
  child: nameOf(n),
  column: 'about_id',
  parent: nameOf(Math.max(1, Math.floor(n / 2))),
  more: 'on delete set null',
});
