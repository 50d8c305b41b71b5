import { sql } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { Database } from '../database.ts';
import { lockArchiveShared } from './locks.ts';

/** Keeps an archive from expiring until it is let go. */
export interface ArchiveHold {
  /** Aborted, with a PurgeError ARCHIVE_EXPIRED, where the archive went while the hold was lost. */
  readonly signal: AbortSignal;
  end(): Promise<void>;
}

/** The server ends a holder's session that is silent for longer; it is heard of more often. */
const SILENT_MS = 15_000;
const HEARD_EVERY_MS = 3_000;
/** Between a lost session and the next. */
const AGAIN_MS = 500;

/**
 * Keeps a purge's archive from expiring while another database is restored from it: the purge's own
 * status says nothing of that. The lock belongs to a transaction, as with all locks here, and holds back
 * no vacuum, for it neither writes nor keeps a snapshot. Where its session is lost (a restart of the
 * server) it is taken anew.
 * @param database the purge's own
 * @throws PurgeError ARCHIVE_EXPIRED; driver errors
 */
export async function holdArchive(database: Database, purgeId: PurgeId): Promise<ArchiveHold> {
  const expired = new AbortController();
  const ending = new AbortController();
  const hold = async (held: () => void, refused: (error: unknown) => void): Promise<void> => {
    while (!ending.signal.aborted) {
      try {
        await holdOnce(database, { purgeId, onHeld: held, ending: ending.signal });
      } catch (error) {
        refused(error);
        if (error instanceof PurgeError) {
          expired.abort(error);
          return;
        }
        await pause(AGAIN_MS, ending.signal);
      }
    }
  };
  let holding = Promise.resolve();
  const first = new Promise<void>((resolve, reject) => {
    holding = hold(resolve, reject);
  });
  const end = async (): Promise<void> => {
    ending.abort();
    await holding;
  };
  try {
    await first;
  } catch (error) {
    await end();
    throw error;
  }
  return { signal: expired.signal, end };
}

async function holdOnce(
  database: Database,
  how: {
    readonly purgeId: PurgeId;
    readonly onHeld: () => void;
    readonly ending: AbortSignal;
  },
): Promise<void> {
  const { purgeId, onHeld, ending } = how;
  await database.ledger.transaction().execute(async (trx) => {
    await sql`set local idle_in_transaction_session_timeout = ${sql.lit(SILENT_MS)}`.execute(trx);
    await lockArchiveShared(purgeId).execute(trx);
    // An expiry that had the lock before is committed: this statement sees it.
    const { rows } = await sql<{ expired_at: Date | null; expired_by: string | null }>`
      select expired_at, expired_by from tenant_purge.archive where purge_id = ${purgeId}`.execute(
      trx,
    );
    const [archive] = rows;
    if (archive?.expired_at != null) {
      throw new PurgeError(
        'ARCHIVE_EXPIRED',
        `Purge ${purgeId}: its archive was expired on ${archive.expired_at.toISOString()} by ${archive.expired_by ?? 'somebody'}.`,
        { details: { expiredAt: archive.expired_at.toISOString(), expiredBy: archive.expired_by } },
      );
    }
    onHeld();
    while (!ending.aborted) {
      await pause(HEARD_EVERY_MS, ending);
      await sql`select 1`.execute(trx);
    }
  });
}

/** Resolves after so long, or when `ending` is aborted. */
const pause = (ms: number, ending: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (ending.aborted) {
      resolve();
      return;
    }
    const stop = (): void => {
      clearTimeout(timer);
      ending.removeEventListener('abort', stop);
      resolve();
    };
    const timer = setTimeout(stop, ms);
    ending.addEventListener('abort', stop, { once: true });
  });
