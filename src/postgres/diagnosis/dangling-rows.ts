import type pg from 'pg';
import type {
  DanglingRows,
  DiagnosisSources,
  LooseKey,
  TenantRows,
} from '../../domain/diagnosis.ts';
import { column } from '../rows/row-predicate.ts';

const SAMPLES = 5;
const SAMPLE_MAX = 100;

/**
 * Rows that refer to a tenant, or to another row, that is not there; sources without any are left out.
 * One statement a source, each table read once. Reads only.
 */
export async function readDanglingRows(
  client: pg.ClientBase,
  sources: DiagnosisSources,
): Promise<DanglingRows[]> {
  const found: DanglingRows[] = [];
  for (const loose of sources.looseTenantColumns) {
    found.push(await danglingTenants(client, sources.tenant, loose));
  }
  for (const key of sources.looseKeys) found.push(await danglingKeys(client, key));
  return found.filter(({ rows }) => rows > 0);
}

async function danglingTenants(
  client: pg.ClientBase,
  tenant: DiagnosisSources['tenant'],
  { table, tenantColumn }: TenantRows,
): Promise<DanglingRows> {
  const name = column(tenantColumn);
  const { rows } = await client.query(
    `select coalesce(sum(n), 0)::bigint as rows, count(*) as values,
       coalesce((array_agg(left(value, ${SAMPLE_MAX}) order by n desc, value))[1:${SAMPLES}], '{}') as samples
     from (select ${name}::text as value, count(*) as n from ${table} where ${name} is not null group by ${name}) held
     where not exists (select from ${tenant.table} t where t.${column(tenant.key)}::text = held.value)`,
  );
  return {
    source: `${table}.${tenantColumn}`,
    kind: 'tenant-column',
    rows: Number(rows[0]?.rows ?? 0),
    values: Number(rows[0]?.values ?? 0),
    samples: rows[0]?.samples ?? [],
  };
}

/** MATCH SIMPLE: a key with a NULL in it refers to nothing. */
async function danglingKeys(
  client: pg.ClientBase,
  { name, child, columns, parent, referencedColumns }: LooseKey,
): Promise<DanglingRows> {
  const present = columns.map((own) => `c.${column(own)} is not null`).join(' and ');
  const equal = columns
    .map((own, at) => `p.${column(referencedColumns[at] ?? own)} = c.${column(own)}`)
    .join(' and ');
  const shown = columns.map((own) => `c.${column(own)}::text`).join(`, ', ', `);
  const { rows } = await client.query(
    `select count(*) as rows, coalesce((array_agg(left(concat(${shown}), ${SAMPLE_MAX})))[1:${SAMPLES}], '{}') as samples
     from ${child} c where ${present} and not exists (select from ${parent} p where ${equal})`,
  );
  return {
    source: name,
    kind: 'foreign-key',
    rows: Number(rows[0]?.rows ?? 0),
    values: null,
    samples: rows[0]?.samples ?? [],
  };
}
