import { Client } from 'pg';

/** Six tables, two a level, below the tenants; total rows at scale 1, the whale's part is 84 %. */
const TABLES = [
  { table: 'projects', parent: null, rows: 150_000, tenantKey: '', parentKey: '' },
  { table: 'accounts', parent: null, rows: 160_000, tenantKey: 'on delete cascade', parentKey: '' },
  {
    table: 'documents',
    parent: 'projects',
    rows: 380_000,
    tenantKey: 'on delete cascade',
    parentKey: '',
  },
  {
    table: 'tickets',
    parent: 'accounts',
    rows: 400_000,
    tenantKey: '',
    parentKey: 'on delete cascade',
  },
  {
    table: 'revisions',
    parent: 'documents',
    rows: 935_000,
    tenantKey: '',
    parentKey: 'on delete cascade',
  },
  {
    table: 'comments',
    parent: 'tickets',
    rows: 985_000,
    tenantKey: 'on delete cascade',
    parentKey: '',
  },
] as const;

type WhaleTable = (typeof TABLES)[number];

export const WHALE_ID = '5f3c8a52-0d0e-4a8e-9c55-7d1f6f0a77e1';
export const WHALE_CONFIG = {
  tenant: { table: 'public.tenants', key: 'id', label: 'name' },
} as const;

const OTHER_TENANTS = 400;
/** Children of one row lie within so many rows of each other: about the same time, not side by side. */
const SPREAD_ROWS = 2_000;

/** One big tenant whose rows lie between those of 400 small ones. Everything follows from row numbers. */
export async function fillWhale(url: string, scale: number): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(`set synchronous_commit = off; set maintenance_work_mem = '512MB'`);
    await client.query(`
      create table tenants (id uuid primary key, name text not null, created_at timestamptz not null);
      insert into tenants select '${WHALE_ID}', 'Whale', '2025-01-06';
      insert into tenants select md5('tenant:' || n)::uuid, 'Tenant ' || n, '2025-01-06'
      from generate_series(1, ${OTHER_TENANTS}) n`);
    for (const one of TABLES) await client.query(createAndFill(one, scale));
    for (const one of TABLES) await client.query(constrain(one));
  } finally {
    await client.end();
  }
}

const rowsOf = (one: WhaleTable, scale: number): number =>
  Math.max(1_000, Math.round(one.rows * scale));

/** 21 of 25 roots are the whale's; the others go round the small tenants. */
const tenantOfRoot = (root: string): string =>
  `case when ${root} % 25 < 21 then '${WHALE_ID}'::uuid
    else md5('tenant:' || 1 + (${root} / 25 * 4 + ${root} % 25 - 21) % ${OTHER_TENANTS})::uuid end`;

/** Number of row `n`'s parent: as far along in its table as the row in its own, give or take. */
function parentOf(n: string, sizes: { readonly parents: number; readonly rows: number }): string {
  const spread = Math.min(SPREAD_ROWS, sizes.parents);
  return `(1 + (${n} * ${sizes.parents}::bigint / ${sizes.rows} + (hashint8(${n}) & 65535) % ${spread}) % ${sizes.parents})`;
}

function createAndFill(one: WhaleTable, scale: number): string {
  const parent = TABLES.find(({ table }) => table === one.parent);
  const rows = rowsOf(one, scale);
  const reference = parent === undefined ? '' : 'parent_id bigint not null,';
  const create = `create table ${one.table} (id bigint not null, tenant_id uuid not null, ${reference}
    title text not null, body text not null, created_at timestamptz not null)`;
  const values = `repeat(md5(n::text), 5), timestamptz '2025-01-06' + n * interval '1 second'`;
  if (parent === undefined) {
    return `${create}; insert into ${one.table}
      select n, ${tenantOfRoot('n')}, '${one.table} ' || n, ${values}
      from generate_series(1, ${rows}::bigint) n`;
  }
  const number = parentOf('n', { parents: rowsOf(parent, scale), rows });
  return `${create}; insert into ${one.table}
    select n, p.tenant_id, p.id, '${one.table} ' || n, ${values}
    from generate_series(1, ${rows}::bigint) n join ${parent.table} p on p.id = ${number}
    order by n`;
}

/** Every foreign key has its index, so that the plain way is not slowed by a lack of one. */
function constrain(one: WhaleTable): string {
  const statements = [
    `alter table ${one.table} add primary key (id)`,
    `create index on ${one.table} (tenant_id)`,
    `alter table ${one.table} add foreign key (tenant_id) references tenants ${one.tenantKey}`,
  ];
  if (one.parent !== null) {
    statements.push(
      `create index on ${one.table} (parent_id)`,
      `alter table ${one.table} add foreign key (parent_id) references ${one.parent} ${one.parentKey}`,
    );
  }
  return statements.join(';\n');
}

export interface WhaleSize {
  readonly rows: number;
  readonly whaleRows: number;
  /** Average of a row with its header, without its line pointer. */
  readonly rowBytes: number;
  readonly tables: number;
}

/** Rows per tenant and bytes per row as they are in the database now. */
export async function measureWhale(client: Client): Promise<WhaleSize> {
  const parts = TABLES.map(
    ({ table }) =>
      `select count(*) as rows, count(*) filter (where tenant_id = '${WHALE_ID}') as whale_rows,
         sum(pg_column_size(t.*)) as bytes from ${table} t`,
  );
  const { rows } = await client.query(
    `select sum(rows)::float8 as rows, sum(whale_rows)::float8 as whale_rows,
       (sum(bytes) / greatest(sum(rows), 1))::float8 as row_bytes
     from (${parts.join(' union all ')}) s`,
  );
  return {
    rows: rows[0].rows,
    whaleRows: rows[0].whale_rows,
    rowBytes: Math.round(rows[0].row_bytes),
    tables: TABLES.length,
  };
}
