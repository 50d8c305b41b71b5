import type { DiagnosisSources, TenantRows } from '../../domain/diagnosis.ts';
import { column, equal } from '../rows/row-predicate.ts';

/** Equal texts need no order of a language, which takes several times as long to sort by. */
export const BYTEWISE = ' collate "C"';
/**
 * For a column's text, before anything is done with it: under a collation of its own that knows no
 * upper and lower case PostgreSQL matches no patterns.
 */
export const PLAINLY = ' collate "default"';

type TenantKey = Pick<DiagnosisSources['tenant'], 'keyType'>;

/** A table's rows, with whose they are. */
interface RowsByTenant {
  /** `r0` is the table itself. */
  readonly from: string;
  /** The tenant's id as text, to be compared with `tenantId` or `sameIds`. */
  readonly id: string;
  /** True for rows that are somebody's. */
  readonly isOwned: string;
  /** Gives one group for each id. */
  readonly groupBy: string;
}

/** Ids are compared as text: without a foreign key a tenant column need not be of the key's type. Pure. */
export function rowsByTenant(rows: TenantRows, tenant: TenantKey): RowsByTenant {
  const joins = rows.over.map(({ parent, columns, referencedColumns }, at) => {
    const on = equal(`r${at + 1}`, referencedColumns, `r${at}`, columns);
    return ` join ${parent} r${at + 1} on ${on}`;
  });
  const key = `r${rows.over.length}.${column(rows.tenantColumn)}`;
  const id = comparableId(key, rows.tenantColumnType, tenant);
  return {
    from: `${rows.table} r0${joins.join('')}`,
    id,
    isOwned: `${key} is not null`,
    // As it is stored where that makes the same groups: a uuid is hashed sooner than its text.
    groupBy: isFolded(rows.tenantColumnType, tenant) ? id : key,
  };
}

/** A key in a form in which equal ones are equal texts. */
function comparableId(value: string, type: string, tenant: TenantKey): string {
  const text = `${value}::text`;
  return isFolded(type, tenant) ? `lower(${text}${PLAINLY})${BYTEWISE}` : `${text}${BYTEWISE}`;
}

/**
 * A uuid that somebody keeps as text may be in capitals; to citext `Acme` and `acme` are the same tenant,
 * and its rows may have either.
 */
const isFolded = (type: string, { keyType }: TenantKey): boolean =>
  /(^|\.)citext$/.test(keyType) || (keyType === 'uuid' && type !== 'uuid');

/** Condition that the id of a tenant, as PostgreSQL prints it, is the one of `rowsByTenant`. */
export const sameIds = (tenantId: string, id: string, tenant: TenantKey): string =>
  `${id} = ${isFolded(tenant.keyType, tenant) ? `lower(${tenantId}${PLAINLY})${BYTEWISE}` : tenantId}`;
