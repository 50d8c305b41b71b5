import type { TenantFacts } from '../domain/diagnosis.ts';
import { type Evidence, RULES, type Rule } from './evidence.ts';

export const RECOMMENDATIONS = ['purge', 'review', 'keep'] as const;
export type Recommendation = (typeof RECOMMENDATIONS)[number];

/** Why a tenant is recommended for what it is; one name each. */
export const REASONS = {
  'independent-signs': 'signs of test data of two kinds that do not depend on each other',
  'flagged-and-unused': 'marked as test, and not in use',
  protected: 'it is on the keep list',
  held: 'its hold forbids a purge',
  'no-sign': 'nothing speaks for test data',
  'score-low': 'what speaks for test data is too little',
  'recent-activity': 'it is in use: somebody was active of late, after the sign-up',
  'activity-unknown': 'nothing tells whether it is in use',
  'just-created': 'it was created within the last day',
  'age-unknown': 'nothing tells since when it is there: it may have signed up just now',
  'has-descendants': 'tenants below it would have to go first',
  'name-alone': 'its name is all that speaks for test data',
  'one-kind': 'all signs of test data are of one kind',
  'usage-out-of-line': 'its requests are out of line',
} as const;
export type Reason = keyof typeof REASONS;

interface Verdict {
  /** 0 to 100: the points of the rules that were hit, each once. */
  readonly score: number;
  readonly recommendation: Recommendation;
  /** At least one. */
  readonly reasons: readonly Reason[];
}

export interface VerdictRules {
  readonly purgeScore: number;
  readonly reviewScore: number;
  readonly inactiveDays: number;
  readonly asOf: Date;
  /** False where no activity is read, or not all of it could be. */
  readonly activityIsKnown: boolean;
  readonly isProtected: (tenantId: string) => boolean;
}

/** Kinds of evidence that do not depend on each other. A number in a name is still the name. */
type Kind = 'flag' | 'name' | 'email' | 'creation';
const KINDS: Partial<Record<Rule, Kind>> = {
  'test-flag': 'flag',
  'suspicious-word': 'name',
  'sequential-name': 'name',
  'reserved-email-domain': 'email',
  'listed-email-domain': 'email',
  'disposable-email-domain': 'email',
  'bulk-address': 'creation',
  burst: 'creation',
};

const UNUSED: readonly Rule[] = ['inactive', 'never-active', 'no-agents'];

/** What an application writes while somebody signs up is no use of it. */
const SIGN_UP_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** What is older than the tenant's row by so much came with it from elsewhere, and was use. */
const BEFORE_SIGN_UP_MS = DAY_MS;
const SCORE_MAX = 100;

/**
 * Score and recommendation. `purge` needs the score, two kinds of evidence (or the flag of a tenant that
 * is not in use), and nothing that forbids it: protection, a hold, recent activity, activity nobody can
 * know, a first day or an age nobody can know, descendants. Never by a name alone, whatever the score. Pure.
 */
export function judge(
  facts: TenantFacts,
  evidence: readonly Evidence[],
  rules: VerdictRules,
): Verdict {
  const hit = new Set(evidence.map(({ rule }) => rule));
  const score = scoreOf(hit);
  if (rules.isProtected(facts.id)) return { score, recommendation: 'keep', reasons: ['protected'] };
  if (facts.isHeld) return { score, recommendation: 'keep', reasons: ['held'] };
  const kinds = kindsOf(hit);
  const isOutOfLine = hit.has('usage-out-of-line');
  if (kinds.size === 0) {
    return isOutOfLine
      ? { score, recommendation: 'review', reasons: ['usage-out-of-line'] }
      : { score, recommendation: 'keep', reasons: ['no-sign'] };
  }
  if (score < rules.reviewScore) return { score, recommendation: 'keep', reasons: ['score-low'] };

  const proofs = proofsOf(hit, kinds);
  const doubts = [
    ...doubtsOf(facts, rules),
    ...(proofs.length > 0 ? [] : [weakness(kinds)]),
    ...(score < rules.purgeScore ? (['score-low'] as const) : []),
    ...(isOutOfLine ? (['usage-out-of-line'] as const) : []),
  ];
  return doubts.length === 0
    ? { score, recommendation: 'purge', reasons: proofs }
    : { score, recommendation: 'review', reasons: doubts };
}

function scoreOf(hit: ReadonlySet<Rule>): number {
  let score = 0;
  for (const rule of hit) score += RULES[rule].points;
  return Math.min(SCORE_MAX, score);
}

function kindsOf(hit: ReadonlySet<Rule>): Set<Kind> {
  const kinds = new Set<Kind>();
  for (const rule of hit) {
    const kind = KINDS[rule];
    if (kind !== undefined) kinds.add(kind);
  }
  return kinds;
}

function proofsOf(hit: ReadonlySet<Rule>, kinds: ReadonlySet<Kind>): Reason[] {
  const isUnused = UNUSED.some((rule) => hit.has(rule));
  return [
    ...(kinds.size >= 2 ? (['independent-signs'] as const) : []),
    ...(kinds.has('flag') && isUnused ? (['flagged-and-unused'] as const) : []),
  ];
}

const weakness = (kinds: ReadonlySet<Kind>): Reason =>
  kinds.has('name') ? 'name-alone' : 'one-kind';

function doubtsOf(facts: TenantFacts, rules: VerdictRules): Reason[] {
  const { createdAt } = facts;
  const age = createdAt === null ? null : rules.asOf.getTime() - createdAt.getTime();
  return [
    ...(isInUse(facts, rules) ? (['recent-activity'] as const) : []),
    ...(rules.activityIsKnown ? [] : (['activity-unknown'] as const)),
    ...(age !== null && age < DAY_MS ? (['just-created'] as const) : []),
    ...(age === null && facts.lastActivityAt === null ? (['age-unknown'] as const) : []),
    ...(facts.hasDescendants ? (['has-descendants'] as const) : []),
  ];
}

function isInUse({ lastActivityAt, createdAt }: TenantFacts, rules: VerdictRules): boolean {
  if (lastActivityAt === null) return false;
  const at = lastActivityAt.getTime();
  if (at < rules.asOf.getTime() - rules.inactiveDays * DAY_MS) return false;
  if (createdAt === null) return true;
  const sinceSignUp = at - createdAt.getTime();
  return sinceSignUp > SIGN_UP_MS || sinceSignUp < -BEFORE_SIGN_UP_MS;
}
