import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { CatalogueColumn, CatalogueForeignKey } from '../catalogue.ts';
import { columnList, describeKey, ownerBesideKey, tableRule } from '../remedy.ts';
import type { OwnerEntry } from '../rules/settled-rules.ts';
import { areComparable } from '../schema-map.ts';
import { type Claim, describeClaim } from './claim.ts';
import type { OddColumn } from './tenant-columns.ts';

export const operatorCondition = (table: TableName, sql: string): Hazard => ({
  type: 'OPERATOR_CONDITION',
  severity: 'info',
  table,
  message: `The tenant's rows of ${table} are those for which the configuration's own SQL is true: ${sql}`,
  remedy: `Check with plan --tenant ID that it counts what you expect.`,
});

export const rowsOfNobody = (table: TableName, claims: readonly Claim[]): Hazard => ({
  type: 'TENANT_ROWS_OF_NOBODY',
  severity: 'info',
  table,
  message: `${table} reaches the tenant by ${claims.map(describeClaim).join(', or else by ')}, which may be NULL: rows without a value belong to nobody and stay.`,
  remedy: `Nothing to do where that is meant; otherwise give those rows of ${table} a value, or let another column own them in purge.config: ${tableRule(table, { ownedBy: ['<column>'] })}.`,
});

export const columnWithoutKey = (table: TableName, column: string, tenant: TableName): Hazard => ({
  type: 'TENANT_COLUMN_WITHOUT_KEY',
  severity: 'info',
  table,
  message: `${table}.${column} is taken for a tenant column by its name and type; no foreign key leads from it to ${tenant}.`,
  remedy: `Nothing to do where it is one; otherwise write in purge.config: ${tableRule(table, { onPurge: 'keep' })}.`,
});

export function ambiguousOwner(table: TableName, claims: readonly Claim[]): Hazard {
  const [first] = claims;
  const ways = claims.map(describeClaim);
  const all = claims.every((claim) => claim.ownNullable && claim.columns.length === 1);
  const owners = all ? claims.flatMap((claim) => claim.columns) : (first?.columns ?? []);
  return {
    type: 'OWNER_AMBIGUOUS',
    severity: 'blocks',
    table,
    message: `${table} reaches the tenant in ${claims.length} equally good ways, which may name different tenants: ${ways.join('; ')}.`,
    remedy: `Say in purge.config which one owns its rows${all ? ', or in which order the first that has a value does' : ''}, e.g. ${tableRule(table, { ownedBy: owners })}.`,
    settledBy: { tables: { [table]: { ownedBy: owners } } },
  };
}

export function unclearOwner(
  table: TableName,
  found: {
    readonly keys: readonly CatalogueForeignKey[];
    readonly configured: readonly string[] | undefined;
  },
): Hazard {
  const [key] = found.keys;
  const keep = tableRule(table, { onPurge: 'keep' });
  if (found.configured !== undefined) {
    return {
      type: 'OWNER_UNCLEAR',
      severity: 'blocks',
      table,
      message: `${table} is owned by ${columnList(found.configured)} according to the configuration, but the table which that key leads to belongs to no tenant.`,
      remedy: `Name another column in purge.config: ${tableRule(table, { ownedBy: key?.columns ?? ['<column>'] })}; or keep the table: ${keep}.`,
    };
  }
  if (key === undefined) {
    return {
      type: 'OWNER_UNCLEAR',
      severity: 'blocks',
      table,
      message: `The configuration wants ${table} purged, but no column and no key of it leads to the tenant.`,
      remedy: `Name its tenant column in purge.config: ${tableRule(table, { ownedBy: ['<column>'] })}; or take the table out of levels.core and tables.`,
    };
  }
  const besides = ownerBesideKey(key);
  return {
    type: 'OWNER_UNCLEAR',
    severity: 'blocks',
    table,
    foreignKey: key.name,
    message: `${table} reaches the tenant only over keys that ${whyUnclear(found.keys)} (${found.keys.map(describeKey).join('; ')}): they may own its rows or only refer.`,
    remedy:
      besides !== null
        ? `Say whose its rows are in purge.config: ${besides}; or ${keep} to leave them.`
        : `Say which in purge.config: "foreignKeys": { ${JSON.stringify(key.name)}: "own" } to delete the rows with what they refer to, "set-null" to clear the reference, "refuse" to stop where there is one; or ${keep} to leave them.`,
  };
}

const whyUnclear = (keys: readonly CatalogueForeignKey[]): string => {
  const reasons = keys.map((key) => {
    if (key.period === true) return 'match by ranges (PERIOD)';
    if (key.childPartition !== undefined)
      return `stand on the partition ${key.childPartition} alone`;
    return 'may be NULL and do not cascade';
  });
  return [...new Set(reasons)].join(' or ');
};

/** In a column of words the tenant's key stands as PostgreSQL prints it, whatever its own type. */
const byWords = (
  table: TableName,
  { name, type }: Pick<CatalogueColumn, 'name' | 'type'>,
): string =>
  areComparable(type, 'text')
    ? `compare it as it is: ${tableRule(table, { where: `${columnList([name])} = {tenantId}` })}; or `
    : '';

export function oddTenantColumn(table: TableName, odd: OddColumn): Hazard {
  const { name, type } = odd.column;
  const keyType = odd.expected;
  const why =
    odd.reason === 'type'
      ? `has the type ${type}, and the tenant's key ${keyType}`
      : 'has a foreign key that leads elsewhere';
  const other =
    odd.reason === 'type'
      ? `${byWords(table, odd.column)}give the column the key's type: ALTER TABLE ${table} ALTER COLUMN ${columnList([name])} TYPE ${keyType} USING ${columnList([name])}::${keyType};`
      : `name its tenant column: ${tableRule(table, { ownedBy: ['<column>'] })}.`;
  return {
    type: 'UNEXPLAINED_TENANT_COLUMN',
    severity: 'blocks',
    table,
    message: `${table}.${name} is called as tenant columns are, but ${why}; no other path explains the table.`,
    remedy: `If its rows belong to no tenant, write in purge.config: ${tableRule(table, { onPurge: 'keep' })}; otherwise ${other}`,
  };
}

export const likelyColumn = (
  table: TableName,
  column: string,
  tenant: { readonly table: TableName },
): Hazard => ({
  type: 'UNEXPLAINED_TENANT_COLUMN',
  severity: 'blocks',
  table,
  message: `${table}.${column} is called as if it held the key of ${tenant.table}, but no foreign key and no setting says so: its rows would stay.`,
  remedy: `If it does, write in purge.config: "tenant": { "columns": [${JSON.stringify(column)}] }; if its rows belong to no tenant: ${tableRule(table, { onPurge: 'keep' })}.`,
});

export const nothingOwned = (tenant: TableName, tables: number): Hazard => ({
  type: 'NOTHING_OWNED',
  severity: 'info',
  table: tenant,
  message: `No foreign key and no tenant column leads from any of the ${tables} other ${tables === 1 ? 'table' : 'tables'} to ${tenant}: a purge would delete the tenant's row and nothing else.`,
  remedy: `Name the tenant columns in purge.config: "tenant": { "columns": ["<column>"] }; nothing to do where there is nothing else to delete.`,
});

export const incomparableColumn = (
  table: TableName,
  column: string,
  type: string,
  keyType: string,
): Hazard => ({
  type: 'UNEXPLAINED_TENANT_COLUMN',
  severity: 'blocks',
  table,
  message: `${table}.${column} owns the rows according to the configuration, but has the type ${type}, and the tenant's key ${keyType}: they cannot be compared.`,
  remedy: `Name a column of the type ${keyType} in purge.config (${tableRule(table, { ownedBy: ['<column>'] })}); or ${byWords(table, { name: column, type })}run: ALTER TABLE ${table} ALTER COLUMN ${columnList([column])} TYPE ${keyType} USING ${columnList([column])}::${keyType};`,
});

/** A polymorphic owner whose column cannot hold the key of the table that it is said to name. */
export function incomparableReference(
  table: TableName,
  found: {
    readonly column: string;
    readonly type: string;
    readonly entry: OwnerEntry;
    readonly parent: TableName;
    readonly expected: string;
  },
): Hazard {
  const { column, type, parent, expected, entry } = found;
  const name = columnList([column]);
  const guards = entry.when.map(
    (guard) => `${columnList([guard.column])} = '${guard.value.replaceAll("'", "''")}'`,
  );
  const where = [
    ...guards,
    `${name}::text in (select <key>::text from ${parent} where <its tenant column> = {tenantId})`,
  ];
  return {
    type: 'UNEXPLAINED_TENANT_COLUMN',
    severity: 'blocks',
    table,
    message: `${table}.${column} names rows of ${parent} according to the configuration, but has the type ${type}, and their key ${expected}: they cannot be compared.`,
    remedy: `Say it in SQL of your own in purge.config: ${tableRule(table, { where: where.join(' and ') })}; or give the column the key's type: ALTER TABLE ${table} ALTER COLUMN ${name} TYPE ${expected} USING ${name}::${expected};`,
  };
}
