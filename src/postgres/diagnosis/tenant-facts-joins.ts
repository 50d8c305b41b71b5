import {
  type DiagnosisBounds,
  type DiagnosisSources,
  MEMBER_DOMAINS_MAX,
  type MomentColumn,
  type TenantRows,
} from '../../domain/diagnosis.ts';
import { column } from '../rows/row-predicate.ts';
import { BYTEWISE, PLAINLY, rowsByTenant, sameIds } from './rows-by-tenant.ts';

/** Texts are cut here: more says no more, and a megabyte in a name must not stop anything. */
export const TEXT_MAX = 1_000;
/** Nine tenths of all tenants stay below; of fewer than ten all but one. */
const USAGE_SHARE = 0.9;
/** So that a share like 2/3 of three does not round up to the third. */
const ROUNDING = 1e-9;
/** An application's clock may be ahead of the database's so far … */
const CLOCK_GRACE = "'15 minutes'::interval";
/** … and where no zone is stored it may be that of the Pacific, whose noon comes 14 hours before ours. */
const ZONE_GRACE = "'14 hours 15 minutes'::interval";

/** What other tables say, one row a tenant, joined to it. */
interface FactsJoin {
  readonly name: string;
  readonly sql: string;
  readonly materialized: boolean;
  readonly join: readonly string[];
  readonly selects: readonly string[];
}

/** @param moment SQL of the moment that the report speaks of */
export function factsJoins(
  sources: DiagnosisSources,
  bounds: DiagnosisBounds,
  moment: string,
): FactsJoin[] {
  const { agents, owner, activity, usage, memberEmails } = sources;
  return [
    ...(agents === null ? [] : [rowCount('agents', agents, sources)]),
    ...(owner?.kind === 'table' ? [rowCount('members', owner, sources)] : []),
    ...(activity.length === 0 ? [] : [lastActivity(sources, moment)]),
    ...(usage === null ? [] : usageJoins(usage, { sources, bounds: bounds.usage, moment })),
    ...memberEmails.map((member, at) => memberDomains(member, at, sources)),
  ];
}

const toTenant = (name: string, { tenant }: DiagnosisSources): string =>
  `left join ${name} on ${sameIds('runs.id', `${name}.id`, tenant)}`;

function rowCount(name: string, rows: TenantRows, sources: DiagnosisSources): FactsJoin {
  const { from, id, isOwned, groupBy } = rowsByTenant(rows, sources.tenant);
  return {
    name,
    sql: `select ${id} as id, count(*) as rows from ${from} where ${isOwned} group by ${groupBy}`,
    materialized: false,
    join: [toTenant(name, sources)],
    selects: [`coalesce(${name}.rows, 0) as ${name}`],
  };
}

const untilNow = (at: string, isZoned: boolean, moment: string): string =>
  `${at} <= ${moment} + ${isZoned ? CLOCK_GRACE : ZONE_GRACE}`;

/** A moment that has not come is an appointment, not activity. */
function lastActivity(sources: DiagnosisSources, moment: string): FactsJoin {
  const parts = sources.activity.map((rows) => {
    const { from, id, isOwned, groupBy } = rowsByTenant(rows, sources.tenant);
    const at = `r0.${column(rows.column)}`;
    return `select ${id} as id, max(${at})::timestamptz as at from ${from}
      where ${isOwned} and isfinite(${at}) and ${untilNow(at, rows.isZoned, moment)}
      group by ${groupBy}`;
  });
  return {
    name: 'activity',
    sql: `select id, max(at) as at from (${parts.join(' union all ')}) one group by id`,
    materialized: false,
    join: [toTenant('activity', sources)],
    selects: ['activity.at as last_activity_at'],
  };
}

/**
 * The limit is a total that somebody has, not one between two: of a handful of tenants the one that is
 * out of line would lift what lies between it and the next.
 */
function usageJoins(
  usage: NonNullable<DiagnosisSources['usage']>,
  question: {
    readonly sources: DiagnosisSources;
    readonly bounds: DiagnosisBounds['usage'];
    readonly moment: string;
  },
): FactsJoin[] {
  const { sources, bounds, moment } = question;
  const { from, id, isOwned, groupBy } = rowsByTenant(usage, sources.tenant);
  const requests =
    usage.requestsColumn === null ? 'count(*)' : `sum(r0.${column(usage.requestsColumn)})`;
  const share = `(select greatest(0, least(${USAGE_SHARE}, 1 - 1.0 / greatest(count(*), 1)) - ${ROUNDING}) from requests where total is not null)`;
  return [
    {
      name: 'requests',
      // Totals that are no number say nothing, and no JSON could hold them.
      sql: `select ${id} as id, case when ${requests}::float8 < 'infinity' then ${requests}::float8 end as total
        from ${from} where ${isOwned}${within(usage.at, bounds.days, moment)} group by ${groupBy}`,
      materialized: true,
      join: [toTenant('requests', sources)],
      selects: ['requests.total as requests'],
    },
    {
      name: 'requests_limit',
      sql: `select greatest(${bounds.requestsMin}, ${bounds.factor} * percentile_disc(${share}) within group (order by total)) as most from requests`,
      materialized: true,
      join: ['cross join requests_limit'],
      selects: ['requests_limit.most as requests_limit'],
    },
  ];
}

function within(moment: MomentColumn | null, days: number, now: string): string {
  if (moment === null) return '';
  const at = `r0.${column(moment.column)}`;
  return ` and ${at} > ${now} - '${days} days'::interval and ${untilNow(at, moment.isZoned, now)}`;
}

function memberDomains(
  rows: DiagnosisSources['memberEmails'][number],
  at: number,
  sources: DiagnosisSources,
): FactsJoin {
  const { from, id, isOwned } = rowsByTenant(rows, sources.tenant);
  const address = `left(r0.${column(rows.column)}::text${BYTEWISE}, ${TEXT_MAX})`;
  // Five times as fast as a regular expression, and there are people enough.
  const domain = `lower(split_part(${address}, '@', -1)${PLAINLY})${BYTEWISE}`;
  const alias = `people_${at}`;
  return {
    name: alias,
    sql: `select id, (array_agg(domain order by domain))[1:${MEMBER_DOMAINS_MAX}] as domains, count(*) as total
      from (select ${id} as id, ${domain} as domain from ${from}
            where ${isOwned} and position('@' in ${address}) > 0 group by 1, 2) one group by id`,
    materialized: false,
    join: [toTenant(alias, sources)],
    selects: [
      `${alias}.domains as domains_${at}`,
      `coalesce(${alias}.total, 0) as domains_total_${at}`,
    ],
  };
}
