import type { Evidence, Rule, Section } from './evidence.ts';
import { RULE_NAMES, RULES, SECTIONS } from './evidence.ts';
import { RECOMMENDATIONS, type Reason, type Recommendation } from './recommendation.ts';

/** One tenant as the report has it. */
export interface TenantEntry {
  readonly tenantId: string;
  readonly label: string;
  readonly recommendation: Recommendation;
  readonly score: number;
  readonly reasons: readonly Reason[];
  readonly evidence: readonly (Evidence & { readonly points: number })[];
}

interface RuleCount {
  readonly rule: Rule;
  readonly points: number;
  /** Tenants that hit it. */
  readonly tenants: number;
  /** The first few of them, by id. */
  readonly examples: readonly string[];
}

export interface SectionCount {
  readonly section: Section;
  /** Tenants that hit any of its rules. */
  readonly tenants: number;
  readonly rules: readonly RuleCount[];
}

export interface Totals {
  readonly tenants: number;
  /** Marked by the flag. */
  readonly testTenants: number;
  /** Recommended for purge or review. */
  readonly suspicious: number;
  /** Null where no agents table is read. */
  readonly withoutAgents: number | null;
  readonly recommended: Readonly<Record<Recommendation, number>>;
  readonly reasons: Readonly<Partial<Record<Reason, number>>>;
}

const EXAMPLES_MAX = 5;
const TOP_MAX = 20;

/** Counts entries as they pass, in as much memory for a million of them as for ten. */
export class Tally {
  #tenants = 0;
  readonly #bySection = new Map<Section, number>(SECTIONS.map((section) => [section, 0]));
  readonly #byRule = new Map<Rule, { tenants: number; examples: string[] }>(
    RULE_NAMES.map((rule) => [rule, { tenants: 0, examples: [] }]),
  );
  readonly #recommended = new Map<Recommendation, number>();
  readonly #reasons = new Map<Reason, number>();
  readonly #top = new Map<Recommendation, TenantEntry[]>(RECOMMENDATIONS.map((one) => [one, []]));

  add(entry: TenantEntry): void {
    this.#tenants += 1;
    const rules = new Set(entry.evidence.map(({ rule }) => rule));
    for (const rule of rules) this.#addRule(rule, entry.tenantId);
    for (const section of new Set([...rules].map((rule) => RULES[rule].section))) {
      increment(this.#bySection, section);
    }
    increment(this.#recommended, entry.recommendation);
    for (const reason of entry.reasons) increment(this.#reasons, reason);
    this.#keepTop(entry);
  }

  #addRule(rule: Rule, tenantId: string): void {
    const count = this.#byRule.get(rule);
    if (count === undefined) return;
    count.tenants += 1;
    if (count.examples.length < EXAMPLES_MAX) count.examples.push(tenantId);
  }

  /** Highest scores first; of equal ones the first seen. */
  #keepTop(entry: TenantEntry): void {
    const top = this.#top.get(entry.recommendation) ?? [];
    if (top.length === TOP_MAX && entry.score <= (top.at(-1)?.score ?? 0)) return;
    const at = top.findIndex(({ score }) => score < entry.score);
    top.splice(at === -1 ? top.length : at, 0, entry);
    if (top.length > TOP_MAX) top.pop();
  }

  sections(): SectionCount[] {
    return SECTIONS.map((section) => ({
      section,
      tenants: this.#bySection.get(section) ?? 0,
      rules: RULE_NAMES.filter((rule) => RULES[rule].section === section).map((rule) => ({
        rule,
        points: RULES[rule].points,
        tenants: this.#byRule.get(rule)?.tenants ?? 0,
        examples: this.#byRule.get(rule)?.examples ?? [],
      })),
    }));
  }

  totals(looksAtAgents: boolean): Totals {
    const { purge = 0, review = 0, keep = 0 } = Object.fromEntries(this.#recommended);
    return {
      tenants: this.#tenants,
      testTenants: this.#byRule.get('test-flag')?.tenants ?? 0,
      suspicious: purge + review,
      withoutAgents: looksAtAgents ? (this.#byRule.get('no-agents')?.tenants ?? 0) : null,
      recommended: { purge, review, keep },
      reasons: Object.fromEntries([...this.#reasons].sort()),
    };
  }

  /** The entries with the highest scores, at most twenty. */
  top(recommendation: Recommendation): readonly TenantEntry[] {
    return this.#top.get(recommendation) ?? [];
  }
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
