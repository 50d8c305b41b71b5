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
/** What is written again and again while somebody is there; what comes first says most. */
const LAST_USE = [
  'lastactivityat',
  'lastactiveat',
  'lastseenat',
  'lastusedat',
  'lastaccessedat',
  'lastloginat',
  'lastsigninat',
  'currentsigninat',
];
/** When somebody did what the row tells of. */
const ACTIVITY = [
  'occurredat',
  'startedat',
  'sentat',
  'createdat',
  'insertedat',
  'timestamp',
  'day',
  'date',
];
/** A moment that has not come, or that says nothing of use; in any part of the name … */
const NO_ACTIVITY = /expir|until|deleted|scheduled|birth|renew|remind/;
/** … or as a word of its own: somebody `attended`, and an `invalidated_at` was somebody's doing. */
const NO_ACTIVITY_WORDS = /(^|_)(due|next|ends?|valid|trial)(_|at$|on$|date$|from$|to$|$)/;

export const isMoment = ({ type }: CatalogueColumn): boolean => /^(timestamp|date$)/.test(type);
export const isZoned = ({ type }: CatalogueColumn): boolean => type.endsWith('with time zone');
export const isNumber = ({ type }: CatalogueColumn): boolean =>
  /^(smallint|integer|bigint|numeric|real|double precision)/.test(type);
const isText = ({ type }: CatalogueColumn): boolean => /^(text|character|citext|name$)/.test(type);
export const isBoolean = ({ type }: CatalogueColumn): boolean => type === 'boolean';
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

/** `schema.agents` of the tables with tenants' rows. */
export const agentsTable = (tables: readonly CatalogueTable[]): string | null =>
  tables.find(({ relation }) => plain(relation) === 'agents')?.name ?? null;

/**
 * When a row of the table came to be, and when it was last used: a person who was invited yesterday has not
 * logged in yet. Any other moment rather than none.
 */
export function activityColumns(columns: readonly CatalogueColumn[]): string[] {
  const moments = columns.filter((column) => isMoment(column) && isActivity(column.name));
  const found = [firstOf(moments, LAST_USE), firstOf(moments, ACTIVITY)].filter(
    (name) => name !== null,
  );
  return found.length > 0 ? found : moments.slice(0, 1).map(({ name }) => name);
}

function isActivity(name: string): boolean {
  const words = name.replaceAll(/([a-z\d])([A-Z])/g, '$1_$2').toLowerCase();
  return !NO_ACTIVITY.test(plain(name)) && !NO_ACTIVITY_WORDS.test(words);
}

/** Of the tenant table: when the tenant was last used. That its row was made or changed is no use of it. */
export const lastUseColumn = (columns: readonly CatalogueColumn[]): string | null =>
  firstOf(columns.filter(isMoment), LAST_USE);

function firstOf(columns: readonly CatalogueColumn[], wanted: readonly string[]): string | null {
  for (const name of wanted) {
    const found = columns.find((column) => plain(column.name) === name);
    if (found !== undefined) return found.name;
  }
  return null;
}
