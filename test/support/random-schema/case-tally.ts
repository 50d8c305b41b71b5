import { deletesOf, type PlanStep } from '../../../src/domain/plan.ts';
import type { CaseResult } from './case-world.ts';
import type { ExpectedPurge } from './expected-purge.ts';
import type { RandomCase } from './model.ts';

/** What the cases of a property had in them, and in how many in a hundred it must have been. */
const SHARES_MIN = {
  'purges that went through': 40,
  'refused for the owner of a table': 0.4,
  'refused for a reference': 10,
  'in one transaction': 10,
  'by batches': 10,
  'more batches than steps': 5,
  'every change watched': 5,
  'rows deleted beside the tenant': 20,
  'references of others cleared': 2,
  'rows of others deleted': 1,
  'own references cleared': 2,
  'circles in one statement': 2,
  'circles with deferred keys': 0,
  'tables with several ways': 3,
  'tables without primary key': 10,
} as const;

type Feature = keyof typeof SHARES_MIN;

const FEATURES = Object.keys(SHARES_MIN) as Feature[];

/** Counts what a property's cases exercised, so that it cannot come to prove nothing. */
export class CaseTally {
  readonly #counts = new Map<Feature, number>();
  #cases = 0;
  #rows = 0;

  add(found: RandomCase, result: CaseResult, expected: ExpectedPurge): void {
    this.#cases += 1;
    for (const feature of featuresOf(found, result, expected)) {
      this.#counts.set(feature, (this.#counts.get(feature) ?? 0) + 1);
    }
    if (result.kind !== 'ran') return;
    for (const rows of expected.deleted.values()) this.#rows += rows.length;
  }

  /** Features that fewer of `cases` had than must; empty where the cases are too few to tell. */
  missing(cases: number): string[] {
    if (cases < ENOUGH) return [];
    return FEATURES.filter((feature) => this.#share(feature) < SHARES_MIN[feature]).map((feature) =>
      this.#line(feature),
    );
  }

  toString(): string {
    return [
      `${this.#cases} cases, ${this.#rows} rows deleted`,
      ...FEATURES.map((feature) => this.#line(feature)),
    ].join('\n  ');
  }

  #line(feature: Feature): string {
    return `${feature}: ${this.#counts.get(feature) ?? 0} (${this.#share(feature).toFixed(1)} %)`;
  }

  #share(feature: Feature): number {
    return (100 * (this.#counts.get(feature) ?? 0)) / Math.max(this.#cases, 1);
  }
}

const ENOUGH = 500;

/** Of a purge that went through, unless they say otherwise. */
function featuresOf(
  { model, batching }: RandomCase,
  result: CaseResult,
  { mustRefuse, cleared, deleted, deletedOfOthers, ownership }: ExpectedPurge,
): Feature[] {
  if (result.kind === 'refused') {
    const isOwner = mustRefuse.some(({ kind }) => kind.startsWith('OWNER_'));
    return [isOwner ? 'refused for the owner of a table' : 'refused for a reference'];
  }
  const steps = result.plan.levels.flatMap((level) => level.steps);
  const changed = (step: PlanStep): boolean =>
    deletesOf(step).some(({ table }) => deleted.has(table.replace('public.', '')));
  const clearsOwn = result.plan.levels.some(({ steps: all }) =>
    all.some((step) => step.kind === 'clear' && step.reason !== 'rule'),
  );
  const has: Record<Feature, boolean> = {
    'purges that went through': true,
    'refused for the owner of a table': false,
    'refused for a reference': false,
    'in one transaction': batching.smallPurgeRows > 0,
    'by batches': batching.smallPurgeRows === 0,
    'more batches than steps': result.batches.length > steps.flatMap(deletesOf).length,
    'every change watched': result.watched,
    'rows deleted beside the tenant': deleted.size > 1,
    'references of others cleared': cleared.length > 0,
    'rows of others deleted': deletedOfOthers > 0,
    'own references cleared': clearsOwn && result.batches.some(({ kind }) => kind === 'clear'),
    'circles in one statement': steps.some(
      (step) => step.kind === 'component' && step.way === 'one-statement' && changed(step),
    ),
    'circles with deferred keys': steps.some(
      (step) => step.kind === 'component' && step.way === 'deferred' && changed(step),
    ),
    'tables with several ways': [...ownership.ways.values()].some((ways) => ways.length > 1),
    'tables without primary key': model.tables.some(({ primaryKey }) => primaryKey === null),
  };
  return FEATURES.filter((feature) => has[feature]);
}
