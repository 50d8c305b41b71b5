import {
  type DiagnosisBounds,
  type DiagnosisSources,
  MEMBER_DOMAINS_MAX,
  type TenantRows,
} from '../../domain/diagnosis.ts';
import { column, literal } from '../rows/row-predicate.ts';

/** Texts are cut here: more says no more, and a megabyte in a name must not stop anything. */
const TEXT_MAX = 1_000;
const LABEL_MAX = 200;
/** Numbers of names that follow each other may leave gaps: some of the tenants are gone by now. */
const SEQUENCE_GAP = 5;
/** Equal texts need no order of a language, which takes several times as long to sort by. */
const BYTEWISE = ' collate "C"';
/** Where more than this share has such a name, and more than a handful, the application numbers everybody. */
const SEQUENCE_SHARE = 0.5;
const SEQUENCE_HANDFUL = 10;
/** Nine tenths of all tenants stay below. */
const USAGE_SHARE = 0.9;
const SECOND = '1000 milliseconds';

export interface FactsQuestion {
  readonly sources: DiagnosisSources;
  readonly bounds: DiagnosisBounds;
  /** ISO 8601. */
  readonly asOf: string;
}

/**
 * One row for each tenant, by id, with everything that diagnosis asks of the database. One statement, so
 * that each table is read once however many tenants there are, and so that a cursor over it needs no
 * memory here. Tenant columns are compared as text: in a table without foreign key they need not be of
 * the key's type. Pure.
 *
 * A tenant is in a burst of k within a span where some k neighbours in order of time, itself among them,
 * lie within it: `lead(k - 1)` says where such a run starts, and a count over the k - 1 rows before
 * whether one reaches here. Frames of rows keep that linear, where `max() over (range …)` would be
 * quadratic for a table whose tenants were all imported in one hour.
 */
export function tenantFactsQuery({ sources, bounds, asOf }: FactsQuestion): string {
  const moment = `${literal(asOf)}::timestamptz`;
  const joins = joinsOf(sources, bounds, moment);
  return `
with ${joins.map(({ name, sql, materialized }) => `${name} as ${materialized ? 'materialized ' : ''}(${sql})`).join(',\n')}
${joins.length === 0 ? '' : ','} tenant as (${tenantRows(sources)}),
starts as (${runStarts(sources, bounds)}),
runs as (${runMembers(sources, bounds)})
select runs.*, ${joins.flatMap(({ selects }) => selects).join(', ') || 'null as nothing'}
from runs ${joins.flatMap(({ join }) => join).join('\n')}
order by runs.id collate "C"`;
}

/** The tenant table's own columns, under names of ours. */
function tenantRows(sources: DiagnosisSources): string {
  const { tenant, createdAtColumn, addressColumn, subdomainColumn, owner } = sources;
  const key = `t.${column(tenant.key)}::text`;
  const label =
    tenant.label === null
      ? key
      : `coalesce(left(t.${column(tenant.label)}::text, ${LABEL_MAX}), ${key})`;
  return `select ${[
    `${key}${BYTEWISE} as id`,
    `${label} as label`,
    `${flag(sources.testColumn)} as is_test`,
    `coalesce(${flag(sources.holdColumn)}, false) as is_held`,
    `${descendants(sources)} as has_descendants`,
    `${createdAtColumn === null ? 'null' : finite(`t.${column(createdAtColumn)}`)}::timestamptz as created_at`,
    `(${addressOf(addressColumn)})${BYTEWISE} as address`,
    `${subdomainColumn === null ? 'null' : `nullif(lower(trim(${text(subdomainColumn)})), '')${BYTEWISE}`} as subdomain`,
    `${owner?.kind === 'column' ? `coalesce(trim(${text(owner.column)}), '') = ''` : 'null::boolean'} as owner_missing`,
    ...sources.nameColumns.map((name, at) => `${text(name)} as name_${at}`),
    ...sources.nameColumns.flatMap((name, at) => sequenceColumns(text(name), at)),
    ...sources.emailColumns.map((name, at) => `${text(name)} as email_${at}`),
  ].join(', ')} from ${tenant.table} t`;
}

const text = (name: string): string => `left(t.${column(name)}::text, ${TEXT_MAX})`;

const flag = (name: string | null): string =>
  name === null ? 'null::boolean' : `t.${column(name)}::boolean`;

/** Infinity is no moment that anything can be counted from. */
const finite = (moment: string): string => `case when isfinite(${moment}) then ${moment} end`;

/** IPv6 by its /64: that is what one customer of a provider has. */
function addressOf(address: DiagnosisSources['addressColumn']): string {
  if (address === null) return 'null::text';
  const name = `t.${column(address.name)}`;
  return address.isNetwork
    ? `case family(${name}) when 6 then text(network(set_masklen(${name}::inet, least(64, masklen(${name}::inet))))) else host(${name}) end`
    : `nullif(lower(trim(left(${name}::text, 100))), '')`;
}

/** Does another tenant refer to this one? */
function descendants({ tenant, tree }: DiagnosisSources): string {
  const tests = tree.map(({ columns, referencedColumns }) => {
    const own = columns.map((name) => `c.${column(name)}`).join(', ');
    const referenced = referencedColumns.map((name) => `t.${column(name)}`).join(', ');
    const itself = referencedColumns.map((name) => `c.${column(name)}`).join(', ');
    const present = columns.map((name) => `c.${column(name)} is not null`).join(' and ');
    return `(${referenced}) in (select ${own} from ${tenant.table} c where ${present} and (${own}) <> (${itself}))`;
  });
  return tests.length === 0 ? 'false' : `coalesce(${tests.join(' or ')}, false)`;
}

/** A name without its last number, and the number; both null where there is none, or hardly a name. */
function sequenceColumns(name: string, at: number): string[] {
  const number = `substring(${name} from '(\\d{1,15})\\D*$')`;
  const stem = `regexp_replace(lower(${name}), '\\d+(\\D*)$', '#\\1')`;
  const isNamed = `${name} ~ '[[:alpha:]]{2}' and ${number} is not null`;
  return [
    `case when ${isNamed} then ${stem} end${BYTEWISE} as stem_${at}`,
    `case when ${isNamed} then ${number}::bigint end as number_${at}`,
  ];
}

function runStarts(sources: DiagnosisSources, { bulk }: DiagnosisBounds): string {
  const byAddress = 'partition by address order by created_at, id';
  const byTime = 'order by created_at, id';
  const burst = `${bulk.burstMinutes} minutes`;
  return `select *, ${[
    `coalesce(lead(created_at, ${bulk.perHour - 1}) over (${byAddress}) - created_at <= '1 hour', false) as starts_address`,
    `count(*) over (partition by address order by created_at ${near('1 hour')}) as near_address`,
    `coalesce(lead(created_at, ${bulk.burstTenants - 1}) over (${byTime}) - created_at <= '${burst}', false) as starts_burst`,
    `count(*) over (order by created_at ${near(burst)}) as near_burst`,
    'count(*) over (partition by subdomain) as subdomain_tenants',
    'count(*) over () as tenants',
    ...sources.nameColumns.flatMap((_, at) => [
      `coalesce(lead(number_${at}, ${bulk.sequence - 1}) over (partition by stem_${at} order by number_${at}, id) - number_${at} <= ${(bulk.sequence - 1) * SEQUENCE_GAP}, false) as starts_${at}`,
      `count(*) over (partition by stem_${at}) as stem_tenants_${at}`,
    ]),
  ].join(', ')} from tenant`;
}

const near = (span: string): string =>
  `range between '${span}'::interval preceding and '${span}'::interval following`;

/** True for the tenants that a run reaches: it starts at them, or at most k - 1 rows before. */
function runMembers(sources: DiagnosisSources, { bulk }: DiagnosisBounds): string {
  const kept = [
    'id',
    'label',
    'is_test',
    'is_held',
    'has_descendants',
    'created_at',
    'address',
    'subdomain',
    'owner_missing',
    'near_address',
    'near_burst',
    'subdomain_tenants',
    ...sources.nameColumns.flatMap((_, at) => [`name_${at}`, `stem_tenants_${at}`]),
    ...sources.emailColumns.map((_, at) => `email_${at}`),
  ];
  return `select ${[
    ...kept,
    `address is not null and created_at is not null and ${reached('starts_address', 'partition by address order by created_at, id', bulk.perHour)} as in_address_run`,
    `created_at is not null and ${reached('starts_burst', 'order by created_at, id', bulk.burstTenants)} as in_burst`,
    ...sources.nameColumns.map(
      (_, at) =>
        `stem_${at} is not null and stem_tenants_${at} <= greatest(${SEQUENCE_HANDFUL}, ${SEQUENCE_SHARE} * tenants) and ${reached(`starts_${at}`, `partition by stem_${at} order by number_${at}, id`, bulk.sequence)} as in_sequence_${at}`,
    ),
  ].join(', ')} from starts`;
}

const reached = (starts: string, window: string, length: number): string =>
  `count(*) filter (where ${starts}) over (${window} rows between ${length - 1} preceding and current row) > 0`;

/** What other tables say, one row a tenant, joined to it. */
interface Join {
  readonly name: string;
  readonly sql: string;
  readonly materialized: boolean;
  readonly join: readonly string[];
  readonly selects: readonly string[];
}

function joinsOf(sources: DiagnosisSources, bounds: DiagnosisBounds, moment: string): Join[] {
  const { agents, owner, activity, usage, memberEmails } = sources;
  return [
    ...(agents === null ? [] : [rowCount('agents', agents)]),
    ...(owner?.kind === 'table' ? [rowCount('members', owner)] : []),
    ...(activity.length === 0 ? [] : [lastActivity(activity, moment)]),
    ...(usage === null ? [] : usageJoins(usage, bounds.usage, moment)),
    ...memberEmails.map((member, at) => memberDomains(member, at)),
  ];
}

function rowCount(name: string, { table, tenantColumn }: TenantRows): Join {
  const tenant = column(tenantColumn);
  return {
    name,
    sql: `select ${tenant}::text as id, count(*) as rows from ${table} where ${tenant} is not null group by ${tenant}`,
    materialized: false,
    join: [`left join ${name} on ${name}.id = runs.id`],
    selects: [`coalesce(${name}.rows, 0) as ${name}`],
  };
}

/** A moment that has not come is an appointment, not activity; a second of grace for clocks. */
function lastActivity(activity: DiagnosisSources['activity'], moment: string): Join {
  const parts = activity.map(({ table, tenantColumn, column: name }) => {
    const tenant = column(tenantColumn);
    const at = column(name);
    return `select ${tenant}::text as id, max(${at})::timestamptz as at from ${table}
      where ${tenant} is not null and isfinite(${at}) and ${at} <= ${moment} + '${SECOND}'::interval
      group by ${tenant}`;
  });
  return {
    name: 'activity',
    sql: `select id, max(at) as at from (${parts.join(' union all ')}) one group by id`,
    materialized: false,
    join: ['left join activity on activity.id = runs.id'],
    selects: ['activity.at as last_activity_at'],
  };
}

function usageJoins(
  usage: NonNullable<DiagnosisSources['usage']>,
  bounds: DiagnosisBounds['usage'],
  moment: string,
): Join[] {
  const tenant = column(usage.tenantColumn);
  const requests =
    usage.requestsColumn === null ? 'count(*)' : `sum(${column(usage.requestsColumn)})`;
  const at = usage.atColumn === null ? null : column(usage.atColumn);
  const within =
    at === null
      ? ''
      : ` and ${at} > ${moment} - '${bounds.days} days'::interval and ${at} <= ${moment}`;
  return [
    {
      name: 'requests',
      sql: `select ${tenant}::text as id, ${requests}::float8 as total from ${usage.table} where ${tenant} is not null${within} group by ${tenant}`,
      materialized: true,
      join: ['left join requests on requests.id = runs.id'],
      selects: ['requests.total as requests'],
    },
    {
      name: 'requests_limit',
      sql: `select greatest(${bounds.requestsMin}, ${bounds.factor} * percentile_cont(${USAGE_SHARE}) within group (order by total)) as most from requests`,
      materialized: true,
      join: ['cross join requests_limit'],
      selects: ['requests_limit.most as requests_limit'],
    },
  ];
}

function memberDomains(
  { table, tenantColumn, column: name }: DiagnosisSources['memberEmails'][number],
  at: number,
): Join {
  const tenant = column(tenantColumn);
  const address = `left(${column(name)}::text, ${TEXT_MAX})`;
  // Five times as fast as a regular expression, and there are people enough.
  const domain = `lower(split_part(${address}, '@', -1))`;
  const alias = `people_${at}`;
  return {
    name: alias,
    sql: `select id, (array_agg(domain order by domain))[1:${MEMBER_DOMAINS_MAX}] as domains, count(*) as total
      from (select ${tenant}::text as id, ${domain} as domain from ${table}
            where ${tenant} is not null and position('@' in ${address}) > 0 group by 1, 2) one group by id`,
    materialized: false,
    join: [`left join ${alias} on ${alias}.id = runs.id`],
    selects: [
      `${alias}.domains as domains_${at}`,
      `coalesce(${alias}.total, 0) as domains_total_${at}`,
    ],
  };
}
