import type { DiagnosisBounds, DiagnosisSources } from '../../domain/diagnosis.ts';
import { column, literal } from '../rows/row-predicate.ts';
import { BYTEWISE, PLAINLY } from './rows-by-tenant.ts';
import { factsJoins, TEXT_MAX } from './tenant-facts-joins.ts';

const LABEL_MAX = 200;
/** Numbers of names that follow each other may leave gaps: some of the tenants are gone by now. */
const SEQUENCE_GAP = 5;
/** Where more than this share has such a name, and more than a handful, the application numbers everybody. */
const SEQUENCE_SHARE = 0.5;
const SEQUENCE_HANDFUL = 10;
/** Where more than this share, and so many, have one and the same moment, no sign-up but an import wrote it. */
const IMPORT_SHARE = 0.5;
const IMPORT_TENANTS = 100;

export interface FactsQuestion {
  readonly sources: DiagnosisSources;
  readonly bounds: DiagnosisBounds;
  /** ISO 8601. */
  readonly asOf: string;
}

/**
 * One row for each tenant, by id, with everything that diagnosis asks of the database. One statement, so
 * that each table is read once however many tenants there are, and so that a cursor over it needs no
 * memory here. Pure.
 *
 * A tenant is in a burst of k within a span where some k neighbours in order of time, itself among them,
 * lie within it: `lead(k - 1)` says where such a run starts, and a count over the k - 1 rows before
 * whether one reaches here. Frames of rows keep that linear, where `max() over (range …)` would be
 * quadratic for a table whose tenants were all imported in one hour.
 */
export function tenantFactsQuery({ sources, bounds, asOf }: FactsQuestion): string {
  const moment = `${literal(asOf)}::timestamptz`;
  const joins = factsJoins(sources, bounds, moment);
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
      : `coalesce(left(t.${column(tenant.label)}::text${PLAINLY}, ${LABEL_MAX}), ${key}${PLAINLY})`;
  return `select ${[
    `${key}${BYTEWISE} as id`,
    `${label} as label`,
    `${flag(sources.testColumn)} as is_test`,
    `coalesce(${flag(sources.holdColumn)}, false) as is_held`,
    `${descendants(sources)} as has_descendants`,
    `${createdAt(createdAtColumn)} as created_at`,
    `${createdAtColumn?.isDay === true ? 'null::timestamptz' : createdAt(createdAtColumn)} as signed_up_at`,
    `(${addressOf(addressColumn)})${BYTEWISE} as address`,
    `${subdomainColumn === null ? 'null' : `nullif(lower(trim(${text(subdomainColumn)})), '')${BYTEWISE}`} as subdomain`,
    `${owner?.kind === 'column' ? `coalesce(trim(${text(owner.column)}), '') = ''` : 'null::boolean'} as owner_missing`,
    ...sources.nameColumns.map((name, at) => `${text(name)} as name_${at}`),
    ...sources.nameColumns.flatMap((name, at) => sequenceColumns(text(name), at)),
    ...sources.emailColumns.map((name, at) => `${text(name)} as email_${at}`),
  ].join(', ')} from ${tenant.table} t`;
}

const text = (name: string): string => `left(t.${column(name)}::text${PLAINLY}, ${TEXT_MAX})`;

const flag = (name: string | null): string =>
  name === null ? 'null::boolean' : `t.${column(name)}::boolean`;

/** A day's end: whoever came on that day was there by then. */
function createdAt(moment: DiagnosisSources['createdAtColumn']): string {
  if (moment === null) return 'null::timestamptz';
  const name = `t.${column(moment.name)}`;
  return `case when isfinite(${name}) then ${moment.isDay ? `${name} + 1` : name} end::timestamptz`;
}

/**
 * IPv6 by its /64: that is what one customer of a provider has. But `::ffff:192.0.2.1` is what a socket
 * for both families calls an IPv4 address, and all of them lie in one /64.
 */
function addressOf(address: DiagnosisSources['addressColumn']): string {
  if (address === null) return 'null::text';
  const name = `t.${column(address.name)}`;
  if (!address.isNetwork) {
    const written = `lower(trim(left(${name}::text${PLAINLY}, 100)))`;
    return `nullif(regexp_replace(${written}${BYTEWISE}, '^::ffff:(?=[0-9]+[.])', ''), '')`;
  }
  return `case when family(${name}) = 4 then host(${name})
    when ${name} <<= '::ffff:0:0/96' then split_part(host(${name}), ':', -1)
    else text(network(set_masklen(${name}::inet, least(64, masklen(${name}::inet))))) end`;
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

/**
 * A name without its last number, and the number; both null where there is none, or hardly a name.
 * Bytewise: elsewhere `\d` is any script's digit, of which no number can be made. Two letters in a row
 * are then two characters that are no ASCII signs.
 */
function sequenceColumns(name: string, at: number): string[] {
  const number = `substring(${name}${BYTEWISE} from '(\\d{1,15})\\D*$')`;
  const stem = `regexp_replace(lower(${name})${BYTEWISE}, '\\d+(\\D*)$', '#\\1')`;
  const isNamed = `${name}${BYTEWISE} ~ '[^\\x01-\\x40\\x5b-\\x60\\x7b-\\x7f]{2}' and ${number} is not null`;
  return [
    `case when ${isNamed} then ${stem} end${BYTEWISE} as stem_${at}`,
    `case when ${isNamed} then ${number}::bigint end as number_${at}`,
  ];
}

function runStarts(sources: DiagnosisSources, { bulk }: DiagnosisBounds): string {
  const byAddress = 'partition by address order by signed_up_at, id';
  const byTime = 'order by signed_up_at, id';
  const burst = `${bulk.burstMinutes} minutes`;
  return `select *, ${[
    `coalesce(lead(signed_up_at, ${bulk.perHour - 1}) over (${byAddress}) - signed_up_at <= '1 hour', false) as starts_address`,
    `count(*) over (partition by address order by signed_up_at ${near('1 hour')}) as near_address`,
    `coalesce(lead(signed_up_at, ${bulk.burstTenants - 1}) over (${byTime}) - signed_up_at <= '${burst}', false) as starts_burst`,
    `count(*) over (order by signed_up_at ${near(burst)}) as near_burst`,
    'count(*) over (partition by subdomain) as subdomain_tenants',
    'count(*) over (partition by signed_up_at) as same_moment',
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
  const isSignUp = `signed_up_at is not null and same_moment <= greatest(${IMPORT_TENANTS}, ${IMPORT_SHARE} * tenants)`;
  return `select ${[
    ...kept,
    `address is not null and ${isSignUp} and ${reached('starts_address', 'partition by address order by signed_up_at, id', bulk.perHour)} as in_address_run`,
    `${isSignUp} and ${reached('starts_burst', 'order by signed_up_at, id', bulk.burstTenants)} as in_burst`,
    ...sources.nameColumns.map(
      (_, at) =>
        `stem_${at} is not null and stem_tenants_${at} <= greatest(${SEQUENCE_HANDFUL}, ${SEQUENCE_SHARE} * tenants) and ${reached(`starts_${at}`, `partition by stem_${at} order by number_${at}, id`, bulk.sequence)} as in_sequence_${at}`,
    ),
  ].join(', ')} from starts`;
}

const reached = (starts: string, window: string, length: number): string =>
  `count(*) filter (where ${starts}) over (${window} rows between ${length - 1} preceding and current row) > 0`;
