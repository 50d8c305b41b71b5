import type pg from 'pg';
import type {
  DanglingRows,
  DiagnosisSources,
  LooseKey,
  TenantRows,
} from '../../domain/diagnosis.ts';
import type { TableName } from '../../domain/ids.ts';
import { column } from '../rows/row-predicate.ts';
import { rowsByTenant, sameIds } from './rows-by-tenant.ts';

const SAMPLES = 5;
const SAMPLE_MAX = 100;

/**
 * Rows that refer to a tenant, or to another row, that is not there; sources without any are left out.
 * One statement a source, each table read once. Reads only.
 * @param begin is told of each table before it is read
 */
export async function readDanglingRows(
  client: pg.ClientBase,
  sources: DiagnosisSources,
  begin: (table: TableName) => void,
): Promise<DanglingRows[]> {
  const found: DanglingRows[] = [];
  for (const loose of sources.looseTenantColumns) {
    begin(loose.table);
    found.push(await danglingTenants(client, sources.tenant, loose));
  }
  for (const key of sources.looseKeys) {
    begin(key.child);
    found.push(await danglingKeys(client, key));
  }
  return found.filter(({ rows }) => rows > 0);
}

async function danglingTenants(
  client: pg.ClientBase,
  tenant: DiagnosisSources['tenant'],
  loose: TenantRows,
): Promise<DanglingRows> {
  const { table, tenantColumn } = loose;
  const { from, id, isOwned, groupBy } = rowsByTenant(loose, tenant);
  const { rows } = await client.query(
    `select coalesce(sum(n), 0)::bigint as rows, count(*) as values,
       coalesce((array_agg(left(value, ${SAMPLE_MAX}) order by n desc, value))[1:${SAMPLES}], '{}') as samples
     from (select ${id} as value, count(*) as n from ${from} where ${isOwned} group by ${groupBy}) held
     where not exists (select from ${tenant.table} t where ${sameIds(`t.${column(tenant.key)}::text collate "C"`, 'held.value', tenant)})`,
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
