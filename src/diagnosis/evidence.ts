import type { ColumnText, DiagnosisSources, TenantFacts } from '../domain/diagnosis.ts';
import { type EmailDomainLists, suspiciousEmailDomain } from '../domain/test-data/email-domains.ts';
import type { DetailRule } from '../domain/test-data/finding.ts';
import { suspiciousWords } from '../domain/test-data/suspicious-words.ts';

/** Sections of the report, in its order. */
export const SECTIONS = [
  'flag',
  'names',
  'emails',
  'creation',
  'inactivity',
  'usage',
  'quality',
] as const;
export type Section = (typeof SECTIONS)[number];

/**
 * Every rule: its section and what it adds to the score. Points say how seldom an honest tenant is hit:
 * the flag was set by somebody, a reserved domain receives no mail, a name is only a name.
 */
export const RULES = {
  'test-flag': { section: 'flag', points: 60 },
  'suspicious-word': { section: 'names', points: 25 },
  'reserved-email-domain': { section: 'emails', points: 40 },
  'listed-email-domain': { section: 'emails', points: 30 },
  'disposable-email-domain': { section: 'emails', points: 20 },
  'bulk-address': { section: 'creation', points: 15 },
  burst: { section: 'creation', points: 10 },
  'sequential-name': { section: 'creation', points: 15 },
  'no-agents': { section: 'inactivity', points: 10 },
  inactive: { section: 'inactivity', points: 15 },
  'never-active': { section: 'inactivity', points: 15 },
  'usage-out-of-line': { section: 'usage', points: 20 },
  'missing-owner': { section: 'quality', points: 5 },
  'duplicate-subdomain': { section: 'quality', points: 5 },
} as const satisfies Record<string, { readonly section: Section; readonly points: number }>;
export type Rule = keyof typeof RULES;
export const RULE_NAMES = Object.keys(RULES) as Rule[];

/** One rule that a tenant hit, and what it hit it by; plain data for programs. */
export type Evidence =
  | { readonly rule: 'test-flag'; readonly column: string }
  | {
      readonly rule: 'suspicious-word';
      readonly column: string;
      readonly value: string;
      readonly match: string;
    }
  | {
      readonly rule: Exclude<DetailRule, 'suspicious-word'>;
      readonly column: string;
      /** The domain only: a mailbox is nobody's business here. */
      readonly domain: string;
      readonly match: string;
    }
  | { readonly rule: 'bulk-address'; readonly address: string; readonly tenants: number }
  | { readonly rule: 'burst'; readonly tenants: number; readonly minutes: number }
  | {
      readonly rule: 'sequential-name';
      readonly column: string;
      readonly value: string;
      readonly tenants: number;
    }
  | { readonly rule: 'no-agents'; readonly table: string }
  | { readonly rule: 'inactive'; readonly lastActivityAt: string; readonly days: number }
  | { readonly rule: 'never-active'; readonly days: number }
  | { readonly rule: 'usage-out-of-line'; readonly requests: number; readonly limit: number }
  | { readonly rule: 'missing-owner'; readonly source: string }
  | { readonly rule: 'duplicate-subdomain'; readonly subdomain: string; readonly tenants: number };

/** What facts are weighed with. */
export interface EvidenceRules {
  readonly sources: DiagnosisSources;
  readonly words: readonly string[];
  readonly emailDomains: EmailDomainLists;
  readonly inactiveDays: number;
  readonly burstMinutes: number;
  /** The moment the report speaks of. */
  readonly asOf: Date;
}

const DAY_MS = 86_400_000;

/** Everything that speaks against a tenant, section by section. Pure. */
export function evidenceOf(facts: TenantFacts, rules: EvidenceRules): Evidence[] {
  return [
    ...flagEvidence(facts, rules),
    ...facts.names.flatMap((name) => wordEvidence(name, rules)),
    ...facts.emails.flatMap((email) => emailEvidence(email, rules)),
    ...facts.memberDomains.flatMap((members) => memberEvidence(members, rules)),
    ...creationEvidence(facts, rules),
    ...inactivityEvidence(facts, rules),
    ...usageEvidence(facts),
    ...qualityEvidence(facts, rules),
  ];
}

function flagEvidence({ isTest }: TenantFacts, { sources }: EvidenceRules): Evidence[] {
  return isTest === true && sources.testColumn !== null
    ? [{ rule: 'test-flag', column: sources.testColumn }]
    : [];
}

const wordEvidence = ({ column, text }: ColumnText, { words }: EvidenceRules): Evidence[] =>
  suspiciousWords(text, words).map(({ evidence }) => ({
    rule: 'suspicious-word',
    column,
    ...evidence,
  }));

function emailEvidence({ column, text }: ColumnText, { emailDomains }: EvidenceRules): Evidence[] {
  const found = suspiciousEmailDomain(text, emailDomains);
  if (found === null || found.rule === 'suspicious-word') return [];
  return [{ rule: found.rule, column, domain: found.evidence.value, match: found.evidence.match }];
}

/** One person with a throw-away address says nothing of a tenant: all of them must have one. */
function memberEvidence(
  { source, domains, total }: TenantFacts['memberDomains'][number],
  rules: EvidenceRules,
): Evidence[] {
  if (total === 0 || total > domains.length) return [];
  const found = domains.map((domain) =>
    emailEvidence({ column: source, text: `@${domain}` }, rules),
  );
  return found.every((evidence) => evidence.length > 0) ? found.flat() : [];
}

function creationEvidence(facts: TenantFacts, { burstMinutes }: EvidenceRules): Evidence[] {
  const { fromAddress, inBurst, sequences } = facts;
  return [
    ...(fromAddress === null ? [] : [{ rule: 'bulk-address' as const, ...fromAddress }]),
    ...(inBurst === null
      ? []
      : [{ rule: 'burst' as const, tenants: inBurst, minutes: burstMinutes }]),
    ...sequences.map(({ column, text, tenants }) => ({
      rule: 'sequential-name' as const,
      column,
      value: text,
      tenants,
    })),
  ];
}

function inactivityEvidence(facts: TenantFacts, rules: EvidenceRules): Evidence[] {
  const { sources, inactiveDays, asOf } = rules;
  const since = asOf.getTime() - inactiveDays * DAY_MS;
  const found: Evidence[] =
    facts.agents === 0 && sources.agents !== null
      ? [{ rule: 'no-agents', table: sources.agents.table }]
      : [];
  // A tenant that did not exist then could not be active then.
  const isOldEnough = facts.createdAt === null || facts.createdAt.getTime() < since;
  if (sources.activity.length === 0 || !isOldEnough) return found;
  const { lastActivityAt } = facts;
  if (lastActivityAt === null) found.push({ rule: 'never-active', days: inactiveDays });
  else if (lastActivityAt.getTime() < since) {
    const at = lastActivityAt.toISOString();
    found.push({ rule: 'inactive', lastActivityAt: at, days: inactiveDays });
  }
  return found;
}

const usageEvidence = ({ usage }: TenantFacts): Evidence[] =>
  usage !== null && usage.requests > usage.limit ? [{ rule: 'usage-out-of-line', ...usage }] : [];

function qualityEvidence(facts: TenantFacts, { sources }: EvidenceRules): Evidence[] {
  const { owner } = sources;
  return [
    ...(facts.isOwnerMissing === true && owner !== null
      ? [
          {
            rule: 'missing-owner' as const,
            source: owner.kind === 'column' ? owner.column : owner.table,
          },
        ]
      : []),
    ...(facts.sharedSubdomain === null
      ? []
      : [{ rule: 'duplicate-subdomain' as const, ...facts.sharedSubdomain }]),
  ];
}
