/**
 * The one catalogue of errors: code → how the program ends, and what the operator does next.
 * Match on the code, never on the message.
 */

/** Exit codes of the command line; other programs rely on them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  residue: 4,
  cancelled: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

interface CatalogueEntry {
  readonly exitCode: ExitCode;
  readonly remedy: string;
}

const CATALOGUE = {
  USAGE: {
    exitCode: EXIT.usage,
    remedy: 'Run the command with --help for its flags and an example.',
  },
  CONFIG_INVALID: {
    exitCode: EXIT.usage,
    remedy: 'Correct the configuration; nothing was changed.',
  },
  CONFIG_MISSING: {
    exitCode: EXIT.usage,
    remedy:
      'Create purge.config.json with {"tenant": {"table": "public.tenants"}}, or name a file with --config.',
  },
  DATABASE_UNREACHABLE: {
    exitCode: EXIT.usage,
    remedy: 'Check DATABASE_URL, that the server runs and that this host may connect.',
  },
  DATABASE_REFUSED: {
    exitCode: EXIT.usage,
    remedy: 'Check the user, the password and the database name in DATABASE_URL.',
  },
  DATABASE_VERSION: { exitCode: EXIT.usage, remedy: 'Use PostgreSQL 14 to 18.' },
  REDIS_UNREACHABLE: {
    exitCode: EXIT.usage,
    remedy: 'Check REDIS_URL and QUEUE_REDIS_URL, that the server runs and the password.',
  },
  TABLE_MISSING: { exitCode: EXIT.usage, remedy: 'Correct tenant.table in the configuration.' },
  COLUMN_MISSING: { exitCode: EXIT.usage, remedy: 'Correct the column in the configuration.' },
  PRIVILEGE_MISSING: {
    exitCode: EXIT.usage,
    remedy: 'Run the GRANTs in ops/sql/roles.sql, then `tenant-purge doctor`.',
  },
  LEDGER_NEWER: {
    exitCode: EXIT.usage,
    remedy:
      'Upgrade this program to the version that migrated the ledger; it never downgrades one.',
  },
  NOT_FOUND: { exitCode: EXIT.usage, remedy: 'List what there is with `tenant-purge status`.' },

  ENVIRONMENT_GUARD: {
    exitCode: EXIT.refused,
    remedy: 'Set ENVIRONMENT to where you are, or add --allow-production if this is meant.',
  },
  CONFIRMATION_REQUIRED: {
    exitCode: EXIT.refused,
    remedy: 'Type the phrase at the prompt, or pass it with --confirm or CONFIRM_CLEANUP.',
  },
  TARGETS_REFUSED: {
    exitCode: EXIT.refused,
    remedy: 'Correct the list of tenants; nothing was enqueued for any of them.',
  },
  TENANT_KEPT: {
    exitCode: EXIT.refused,
    remedy: 'Take the tenant off the list, or off the keep list.',
  },
  TENANT_HELD: {
    exitCode: EXIT.refused,
    remedy: 'Leave the tenant, or have its hold lifted, then enqueue it again.',
  },
  TENANT_REACTIVATED: {
    exitCode: EXIT.refused,
    remedy: 'Ask who reactivated the tenant: leave it, or enqueue it again, which marks it anew.',
  },
  TENANT_UNKNOWN: {
    exitCode: EXIT.refused,
    remedy: 'Check the id: it must be spelled as in the tenant table.',
  },
  TENANT_BLANK: { exitCode: EXIT.refused, remedy: 'Remove the empty id.' },
  TENANT_WILDCARD: {
    exitCode: EXIT.refused,
    remedy: 'Name each tenant; wildcards are never expanded.',
  },
  TENANT_DUPLICATE: { exitCode: EXIT.refused, remedy: 'Name each tenant once.' },
  TENANT_BUSY: {
    exitCode: EXIT.refused,
    remedy: 'Wait for the live purge of this tenant, or cancel it.',
  },
  TENANT_CYCLE: {
    exitCode: EXIT.refused,
    remedy: 'Let one of them refer to no other of them, then enqueue again.',
  },
  DESCENDANT_REMAINS: {
    exitCode: EXIT.refused,
    remedy: 'Settle why the descendant remains, then enqueue this tenant again with it.',
  },
  HAZARD_BLOCKS: {
    exitCode: EXIT.refused,
    remedy: 'Settle each hazard as its remedy says, then plan again.',
  },
  HAZARD_NOT_ALLOWED: {
    exitCode: EXIT.refused,
    remedy: 'Read the hazard; accept it with --allow TYPE, or settle it as its remedy says.',
  },
  DRIFT: {
    exitCode: EXIT.refused,
    remedy:
      'The schema changed since the plan was approved: read the difference, then enqueue again.',
  },
  IDENTITY_MISMATCH: {
    exitCode: EXIT.refused,
    remedy: 'Point the worker at the environment, database and Redis the campaign was made for.',
  },
  STATUS_CONFLICT: {
    exitCode: EXIT.refused,
    remedy: 'See what the purge is doing with `tenant-purge status`.',
  },

  ARCHIVE_PLACE: {
    exitCode: EXIT.refused,
    remedy:
      'Point archive.dir of this host at the archive the purge began with; several hosts need shared storage.',
  },
  ARCHIVE_SPACE: {
    exitCode: EXIT.refused,
    remedy: 'Free space where the archive lies, or set archive.dir to a larger place, then resume.',
  },
  ARCHIVE_FAILED: {
    exitCode: EXIT.failed,
    remedy:
      'Nothing was deleted without its archive: make the folder writable and free space, then enqueue again.',
  },
  ARCHIVE_DAMAGED: {
    exitCode: EXIT.failed,
    remedy:
      'Bring the named file back from a backup of the archive, then see `tenant-purge archive check`.',
  },

  NOT_RESTORABLE: {
    exitCode: EXIT.refused,
    remedy: 'Its rows are not in an archive of this program: bring them back from a backup.',
  },
  ARCHIVE_EXPIRED: {
    exitCode: EXIT.refused,
    remedy: 'Its archive was thrown away on purpose: bring the rows back from a backup.',
  },
  RESTORE_HELD: {
    exitCode: EXIT.refused,
    remedy:
      'Wait for that process, or stop it with `tenant-purge pause PURGE`, then restore again.',
  },
  RESTORE_CONFLICTS: {
    exitCode: EXIT.refused,
    remedy:
      'Settle each conflict in the database, or by a rule: --settle KIND=ACTION, --trigger TABLE.NAME=fire|disable.',
  },
  RESTORE_MISMATCH: {
    exitCode: EXIT.failed,
    remedy:
      'Something changed rows while they were restored: look at the tables named, then run the restore again to verify anew.',
  },

  QUIESCE_FAILED: {
    exitCode: EXIT.failed,
    remedy: 'Correct quiesce in the configuration, or what refuses the mark, then enqueue again.',
  },
  FOREIGN_REFERENCE: {
    exitCode: EXIT.failed,
    remedy:
      'A row outside the purge references a row inside it: clear or move that reference, then enqueue again.',
  },
  CASCADE_GUARD: {
    exitCode: EXIT.failed,
    remedy:
      'The delete would have changed rows that the plan does not name: clear those references, then enqueue again.',
  },
  ROW_REFUSED: {
    exitCode: EXIT.failed,
    remedy:
      'The database refuses to delete a row: read its message, settle the cause, then enqueue again.',
  },
  POISON_ROW: {
    exitCode: EXIT.failed,
    remedy:
      'A single row cannot be deleted within the statement timeout: add the missing index, then enqueue again.',
  },
  ROWS_KEPT: {
    exitCode: EXIT.failed,
    remedy: 'A trigger or rule keeps rows from being deleted: settle it, then enqueue again.',
  },
  RESIDUE: {
    exitCode: EXIT.residue,
    remedy: 'Something still writes for this tenant: stop it, then enqueue the tenant again.',
  },
  INTERRUPTED: {
    exitCode: EXIT.failed,
    remedy: 'It is tried again by itself; see `tenant-purge status`.',
  },
  TIMED_OUT: {
    exitCode: EXIT.failed,
    remedy: 'The work goes on; look again with `tenant-purge status`.',
  },
  STALE_FENCE: {
    exitCode: EXIT.failed,
    remedy: 'Another worker holds the purge now; nothing to do.',
  },
  STOP_ASKED: { exitCode: EXIT.interrupted, remedy: 'A stop was asked for; resume when ready.' },
  CANCELLED: { exitCode: EXIT.cancelled, remedy: 'Enqueue the tenant again to go on.' },
  INTERNAL: { exitCode: EXIT.failed, remedy: 'This is a defect: report it with the log.' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof CATALOGUE;

export const ERROR_CODES = Object.keys(CATALOGUE) as ErrorCode[];

/** Facts of an error that programs may read; never row contents, never a password. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** Plain form of an error: what the ledger stores and `--json` prints. */
export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
  readonly details: ErrorDetails;
}

interface PurgeErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
  /** Replaces the catalogue's remedy where a sharper one is known. */
  readonly remedy?: string;
}

/** The only error this project throws on purpose. */
export class PurgeError extends Error {
  override readonly name = 'PurgeError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options: PurgeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.remedy = options.remedy ?? CATALOGUE[code].remedy;
  }

  get exitCode(): ExitCode {
    return CATALOGUE[this.code].exitCode;
  }

  toReport(): ErrorReport {
    return { code: this.code, message: this.message, remedy: this.remedy, details: this.details };
  }
}

/** Any thrown value as a PurgeError; what is not one becomes INTERNAL with the original as cause. */
export function toPurgeError(thrown: unknown): PurgeError {
  if (thrown instanceof PurgeError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new PurgeError('INTERNAL', message, { cause: thrown });
}

/** Remedy of a code, for texts that carry no error object. */
export const remedyOf = (code: ErrorCode): string => CATALOGUE[code].remedy;
