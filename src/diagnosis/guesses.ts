import type { CatalogueColumn, CatalogueTable } from '../planner/catalogue.ts';

/**
 * What columns are for, by name and type, where the configuration is silent. Each list is in order of
 * preference; `plain` compares as `ownerEmail`, `owner_email` and `OWNER_EMAIL` do. Pure.
 */
const plain = (name: string): string => name.toLowerCase().replaceAll('_', '');

const TEST = ['testtenant', 'istest', 'istesttenant', 'test', 'istestaccount', 'testaccount'];
const NAMES = ['name', 'displayname', 'companyname', 'company', 'organizationname', 'title'];
const SUBDOMAINS = ['subdomain', 'slug', 'handle'];
const CREATED_AT = ['createdat', 'createdon', 'created', 'insertedat', 'signedupat'];
const ADDRESSES = ['createdip', 'signupip', 'createdfromip', 'registrationip', 'ipaddress', 'ip'];
const OWNERS = ['ownerid', 'owneruserid', 'owneremail', 'owner', 'contactemail'];
/** What comes first says most of what people do. */
const ACTIVITY = [
  'lastactivityat',
  'lastactiveat',
  'lastseenat',
  'lastusedat',
  'lastloginat',
  'occurredat',
  'startedat',
  'sentat',
  'createdat',
  'insertedat',
  'timestamp',
  'day',
  'date',
];
/** A moment that has not come, or that says nothing of use. */
const NO_ACTIVITY = /expire|until|due|deleted|scheduled|next|end|valid|birth|renew|remind|trial/;

export const isMoment = ({ type }: CatalogueColumn): boolean => /^(timestamp|date$)/.test(type);
const isText = ({ type }: CatalogueColumn): boolean => /^(text|character|citext|name$)/.test(type);
const isBoolean = ({ type }: CatalogueColumn): boolean => type === 'boolean';
const isAddress = (column: CatalogueColumn): boolean =>
  column.type === 'inet' || column.type === 'cidr' || isText(column);

export const testColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns.filter(isBoolean), TEST);

/** The tenant's name, and what it is reached by. */
export function nameColumns(columns: readonly CatalogueColumn[]): string[] {
  const texts = columns.filter(isText);
  return [firstOf(texts, NAMES), firstOf(texts, SUBDOMAINS)].filter((name) => name !== null);
}

/** Every text column whose name ends in `email` or begins with it. */
export const emailColumns = (columns: readonly CatalogueColumn[]): string[] =>
  columns
    .filter(isText)
    .map(({ name }) => name)
    .filter((name) => /email$|^email(address)?$/.test(plain(name)));

export const subdomainColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns.filter(isText), SUBDOMAINS);

export const createdAtColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns.filter(isMoment), CREATED_AT);

export const addressColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns.filter(isAddress), ADDRESSES);

export const ownerColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns, OWNERS);

/** `schema.agents` of the tables that have a tenant column. */
export const agentsTable = (tables: readonly CatalogueTable[]): string | null =>
  tables.find(({ relation }) => plain(relation) === 'agents')?.name ?? null;

/** When a row of the table came to be, or was last used; any other moment rather than none. */
export function activityColumn(columns: readonly CatalogueColumn[]): string | null {
  const moments = columns.filter(
    (column) => isMoment(column) && !NO_ACTIVITY.test(plain(column.name)),
  );
  return firstOf(moments, ACTIVITY) ?? moments[0]?.name ?? null;
}

function firstOf(columns: readonly CatalogueColumn[], wanted: readonly string[]): string | null {
  for (const name of wanted) {
    const found = columns.find((column) => plain(column.name) === name);
    if (found !== undefined) return found.name;
  }
  return null;
}
