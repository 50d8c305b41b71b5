import type { Outcome } from './metrics.ts';
import type { Reason } from './reason.ts';

export type Verdict =
  | {
      readonly allowed: true;
      /** `clean`: nothing refuses, see `reported`; `reported`: it would be refused in production. */
      readonly because: 'clean' | 'allow-listed' | 'overridden' | 'reported';
      /** Rules that were hit all the same. */
      readonly reported: readonly Reason[];
      /** Stands in the log. */
      readonly reference: string;
    }
  | {
      readonly allowed: false;
      readonly reasons: readonly Reason[];
      readonly reference: string;
    };

/** What is counted and logged of a verdict. Pure. */
export function outcomeOf(verdict: Verdict): Outcome {
  if (!verdict.allowed) return 'refused';
  const { because, reported } = verdict;
  switch (because) {
    case 'overridden':
      return 'overridden';
    case 'reported':
      return 'reported';
    case 'clean':
    case 'allow-listed':
      return reported.length === 0 ? 'allowed' : 'reported';
    default:
      return because satisfies never;
  }
}
