/** Why keys with the id of nobody are left alone all the same. */
const SKIP_REASONS = [
  /** The id stands on the keep list. */
  'kept',
  /** A purge of the tenant is under way or due, or its restore is: the keys are its business. */
  'live-purge',
  /** A purge of the tenant can still be undone, and its keys come back with it. */
  'restorable',
  /** Not among the tenants that the operator was shown; they became orphans since, or were too many. */
  'not-confirmed',
] as const;
export type SkipReason = (typeof SKIP_REASONS)[number];

/** Why nobody can tell for sure whose a key is. */
const DOUBTS = [
  /** What stands for the id cannot be one of the tenant key's type, as PostgreSQL prints it. */
  'no-id',
  /** The templates can be read in several ways. */
  'several-ids',
  /** A tenant exists whose id differs in upper and lower case only, or by its collation. */
  'another-spelling',
] as const;
export type Doubt = (typeof DOUBTS)[number];

/** What becomes of an id that was read out of a key for sure. */
export type OrphanVerdict =
  | 'owned'
  | 'orphan'
  | 'another-spelling'
  | Exclude<SkipReason, 'not-confirmed'>;

interface TenantKeys {
  readonly tenantId: string;
  readonly keys: number;
}

/** What a pass over the keyspace met. Keys that a resize of the server's table shows twice count twice. */
export interface OrphanFindings {
  /** Keys that fit the templates' common beginning. */
  readonly scanned: number;
  /** Keys of tenants that exist. */
  readonly owned: number;
  readonly orphans: {
    readonly keys: number;
    readonly tenants: number;
    /** Most keys first. */
    readonly top: readonly TenantKeys[];
    /** Keys of further tenants, which one run does not take. */
    readonly beyond: number;
  };
  readonly undecided: {
    readonly keys: number;
    readonly reasons: Readonly<Record<Doubt, number>>;
    /** Keys as byte text, a few. */
    readonly samples: readonly string[];
  };
  readonly skipped: {
    readonly keys: number;
    readonly reasons: Readonly<Record<SkipReason, number>>;
    /** Ids of a few. */
    readonly samples: readonly string[];
  };
}

/** What a run of deletes did, in this process. */
export interface OrphanDeletion {
  readonly runId: string;
  /** Unlinked; those of an earlier process of the same run not counted. */
  readonly deleted: number;
  /** Unlinked, and put back because their tenant was created in the same moment. */
  readonly putBack: number;
  /** Changed whenever they were to be unlinked, and stayed. */
  readonly left: number;
  readonly isResumed: boolean;
  /** False where it was stopped: the same command goes on. */
  readonly isDone: boolean;
  readonly location: string;
}

export interface OrphanRestore {
  readonly runId: string;
  readonly restored: number;
  /** There already, with the archived value. */
  readonly same: number;
  /** There with another value, and left alone. */
  readonly taken: number;
  readonly expired: number;
}

/** An id that reads well in a phrase, and is safe to show and to quote: it came out of a key. */
const PLAIN_ID = /^[\w.:-]{1,64}$/;

/** The phrase for deleting keys of these tenants. */
export function orphansPhrase(tenantIds: readonly string[]): string {
  const [first] = tenantIds;
  if (tenantIds.length !== 1 || first === undefined) {
    return `DELETE KEYS OF ${tenantIds.length} TENANTS`;
  }
  return PLAIN_ID.test(first) ? `DELETE KEYS OF ${first}` : 'DELETE KEYS OF 1 TENANT';
}
