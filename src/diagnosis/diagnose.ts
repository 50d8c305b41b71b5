import type {
  DanglingRows,
  DiagnosisBounds,
  DiagnosisSources,
  TenantFacts,
} from '../domain/diagnosis.ts';
import { PurgeError } from '../domain/errors.ts';
import { asTenantId, type TenantId } from '../domain/ids.ts';
import type { KeepList } from '../domain/keep-list.ts';
import { emailDomainLists, LISTED_DOMAINS } from '../domain/test-data/email-domains.ts';
import { SUSPICIOUS_WORDS } from '../domain/test-data/suspicious-words.ts';
import { makePlan } from '../planner/make-plan.ts';
import type { PlanRules } from '../planner/rules.ts';
import { readCatalogue } from '../postgres/catalogue/catalogue-reader.ts';
import type { Database } from '../postgres/database.ts';
import { readDatabaseIdentity } from '../postgres/database-identity.ts';
import { readDanglingRows } from '../postgres/diagnosis/dangling-rows.ts';
import { inReadTransaction } from '../postgres/diagnosis/read-transaction.ts';
import { readTenantFacts } from '../postgres/diagnosis/tenant-facts.ts';
import { findTenants } from '../postgres/tenant-directory.ts';
import { type EvidenceRules, evidenceOf, RULES } from './evidence.ts';
import type { OrphanKeys } from './orphan-keys.ts';
import { judge, type VerdictRules } from './recommendation.ts';
import type { DiagnosisSettings } from './settings.ts';
import type { SourceNote } from './settlement.ts';
import { type SettledSources, settleSources } from './sources.ts';
import { type SectionCount, Tally, type TenantEntry, type Totals } from './tally.ts';

export interface DiagnoseParts {
  readonly database: Database;
  readonly rules: PlanRules;
  readonly settings: DiagnosisSettings;
  readonly keep: KeepList;
  /** Domains of throw-away mailboxes. */
  readonly disposableDomains: Iterable<string>;
  /** The moment the report speaks of; null: now, by the database's clock. */
  readonly asOf: Date | null;
  /** Counts the keys of tenants that are gone; null where no Redis keys are configured. */
  readonly orphanKeys:
    | ((tenants: {
        readonly ids: ReadonlySet<string>;
        readonly keyType: string;
        readonly existing: (ids: readonly string[]) => Promise<readonly string[]>;
      }) => Promise<OrphanKeys | { readonly unknown: string }>)
    | null;
  readonly signal?: AbortSignal | undefined;
}

/** Takes the report in the order in which it comes to be: its head, then each tenant by id. */
export interface DiagnosisSink {
  begin(head: DiagnosisHead): Promise<void>;
  tenants(entries: readonly TenantEntry[]): Promise<void>;
}

export interface DiagnosisHead {
  /** Of this database and no other, see `readDatabaseIdentity`. */
  readonly database: string;
  readonly tenantTable: string;
  /** By the database's clock; ISO 8601, as is `asOf`. */
  readonly madeAt: string;
  /** The moment it speaks of: that one, unless somebody asked for another. */
  readonly asOf: string;
}

/** Everything about the whole. */
export interface DiagnosisSummary extends DiagnosisHead {
  readonly totals: Totals;
  readonly redis:
    | ({ readonly counted: true } & OrphanKeys)
    | { readonly counted: false; readonly why: string };
  readonly sections: readonly SectionCount[];
  /** Rows that refer to nothing; section `quality`, by table. */
  readonly dangling: readonly DanglingRows[];
  readonly sources: readonly SourceNote[];
  readonly warnings: readonly string[];
}

/** Where `usage` is not configured nothing of it is asked. */
const NO_USAGE: DiagnosisBounds['usage'] = { days: 30, factor: 10, requestsMin: 1_000 };

/**
 * Looks at every tenant and hands what it finds to the sink, in one READ ONLY transaction of one snapshot.
 * Holds a page of tenants at a time, and their ids where Redis keys are counted. Writes nothing anywhere.
 * @throws PurgeError TABLE_MISSING, COLUMN_MISSING, CONFIG_INVALID, PRIVILEGE_MISSING, TIMED_OUT,
 *   STOP_ASKED; driver errors; what the sink throws
 */
export async function diagnose(
  parts: DiagnoseParts,
  sink: DiagnosisSink,
): Promise<{ readonly summary: DiagnosisSummary; readonly tally: Tally }> {
  const { database, settings, signal } = parts;
  let reading = 'the catalogue';
  const { statementTimeoutMs } = settings;
  const limits = { statementTimeoutMs, signal, reading: () => reading };
  const tally = new Tally();
  const ids = new Set<TenantId>();
  const read = await inReadTransaction(database, limits, async (client) => {
    const catalogue = await readCatalogue(client);
    const settled = settleSources(catalogue, makePlan(catalogue, parts.rules), settings);
    const { rows } = await client.query<{ now: Date }>('select now()');
    const now = rows[0]?.now ?? new Date();
    const asOf = parts.asOf ?? now;
    const head: DiagnosisHead = {
      database: await readDatabaseIdentity(client),
      tenantTable: settled.sources.tenant.table,
      madeAt: now.toISOString(),
      asOf: asOf.toISOString(),
    };
    const dangling = await readDanglingRows(client, settled.sources, (table) => {
      reading = `rows of ${table} that refer to nothing`;
    });
    reading = tablesOf(settled.sources);
    const toEntry = entryMaker(parts, settled, asOf);
    const question = { sources: settled.sources, bounds: boundsOf(settings), asOf: head.asOf };
    let hasBegun = false;
    for await (const page of readTenantFacts(client, question)) {
      // Not before: the first page takes nearly all of the time, and whatever may fail.
      if (!hasBegun) await sink.begin(head);
      hasBegun = true;
      const entries = page.map(toEntry);
      for (const entry of entries) {
        tally.add(entry);
        if (parts.orphanKeys !== null) ids.add(asTenantId(entry.tenantId));
      }
      await sink.tenants(entries);
    }
    if (!hasBegun) await sink.begin(head);
    return { head, settled, dangling };
  });
  const { settled } = read;
  return {
    tally,
    summary: {
      ...read.head,
      totals: tally.totals(settled.sources.agents !== null),
      redis: await countKeys(parts, settled, ids),
      sections: tally.sections(),
      dangling: read.dangling,
      sources: settled.origins,
      warnings: settled.warnings,
    },
  };
}

function entryMaker(
  { settings, keep, disposableDomains }: DiagnoseParts,
  { sources, activityIsKnown }: SettledSources,
  asOf: Date,
): (facts: TenantFacts) => TenantEntry {
  const { inactiveDays, purgeScore, reviewScore, bulk } = settings;
  const evidenceRules: EvidenceRules = {
    sources,
    words: [...SUSPICIOUS_WORDS, ...settings.words],
    emailDomains: emailDomainLists({
      listed: [...LISTED_DOMAINS, ...settings.emailDomains],
      disposable: disposableDomains,
      allowed: settings.allowedEmailDomains,
    }),
    inactiveDays,
    burstMinutes: bulk.burstMinutes,
    asOf,
  };
  const verdictRules: VerdictRules = {
    purgeScore,
    reviewScore,
    inactiveDays,
    asOf,
    activityIsKnown,
    isProtected: (tenantId) => keep.has(tenantId),
  };
  return (facts) => {
    const evidence = evidenceOf(facts, evidenceRules);
    return {
      tenantId: facts.id,
      label: facts.label,
      ...judge(facts, evidence, verdictRules),
      evidence: evidence.map((one) => ({ ...one, points: RULES[one.rule].points })),
    };
  };
}

/** What the one statement over everything reads, for its error. */
function tablesOf({
  tenant,
  agents,
  owner,
  activity,
  usage,
  memberEmails,
}: DiagnosisSources): string {
  const others = [
    ...(agents === null ? [] : [agents]),
    ...(owner?.kind === 'table' ? [owner] : []),
    ...activity,
    ...(usage === null ? [] : [usage]),
    ...memberEmails,
  ].flatMap(({ table, over }) => [table, ...over.map(({ parent }) => parent)]);
  return [...new Set([tenant.table, ...others])].join(', ');
}

const boundsOf = ({ bulk, usage }: DiagnosisSettings): DiagnosisBounds => ({
  bulk,
  usage: usage ?? NO_USAGE,
});

async function countKeys(
  { orphanKeys, database }: DiagnoseParts,
  { sources }: SettledSources,
  ids: ReadonlySet<TenantId>,
): Promise<DiagnosisSummary['redis']> {
  if (orphanKeys === null) {
    return { counted: false, why: 'redis.keys names no keys of tenants in the configuration' };
  }
  const { key, keyType, table } = sources.tenant;
  try {
    const found = await orphanKeys({
      ids,
      keyType,
      existing: async (asked) => {
        const tenant = { table, key, keyType, label: null, testColumn: null };
        return (await findTenants(database.pool, tenant, asked)).map(({ id }) => id);
      },
    });
    return 'unknown' in found
      ? { counted: false, why: found.unknown }
      : { counted: true, ...found };
  } catch (thrown) {
    // Everything about the tenants is known by now: a Redis that goes away must not take it along.
    if (thrown instanceof PurgeError && thrown.code === 'STOP_ASKED') throw thrown;
    return { counted: false, why: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
