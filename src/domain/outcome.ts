import type { ErrorReport } from './errors.ts';
import type { PurgeReport } from './report.ts';

/**
 * How one run of a purge ended, as the engine sees it. `src/queue` turns it into the verbs of the
 * job queue; the ledger already holds it when the engine returns.
 */
export type Outcome =
  | { readonly kind: 'completed'; readonly report: PurgeReport }
  | { readonly kind: 'incomplete'; readonly report: PurgeReport; readonly error: ErrorReport }
  | { readonly kind: 'cancelled'; readonly report: PurgeReport }
  | { readonly kind: 'failed'; readonly error: ErrorReport }
  | { readonly kind: 'refused'; readonly error: ErrorReport }
  /**
   * Paused in the ledger: park the job until it is resumed or promoted. `parked`: it had been seen
   * parked before, so its arrival means that somebody promoted it.
   */
  | { readonly kind: 'paused'; readonly parked: boolean }
  /** Given back unfinished; another worker may take it at once. */
  | { readonly kind: 'yielded'; readonly reason: string }
  /** A passing fault outlasted its retries; try again later. */
  | { readonly kind: 'interrupted'; readonly error: ErrorReport; readonly retryInMs: number }
  /** Its rows are gone; the shared Redis sweep has to pass before it can be verified. */
  | { readonly kind: 'awaiting-sweep'; readonly lookAgainInMs: number }
  /** Not due yet, or the whole fleet is stopped: put the job back without work. */
  | { readonly kind: 'not-now'; readonly lookAgainInMs: number }
  /** Another worker holds it, or it has ended: this job has nothing to do. */
  | { readonly kind: 'superseded'; readonly reason: string };
