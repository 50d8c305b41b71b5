import { type Kysely, sql } from 'kysely';
import { lockPipelinesShared } from './locks.ts';
import type { LedgerTables } from './tables.ts';

/** One pipeline of Redis commands under way, if what was found allows it. */
export interface HeldPipeline<Found> {
  readonly found: Found;
  /**
   * False where its session was lost in the meantime: a stop may have been told that nothing is under way
   * any more, so nothing more may be sent.
   */
  readonly isHeld: () => Promise<boolean>;
  /** Idempotent; never throws: a connection that was lost has left already. */
  readonly leave: () => Promise<void>;
}

/**
 * Looks, and holds if `isOpen`, under the lock that a stop of the fleet takes exclusively: what is sent
 * before `leave` is waited for by every stop that this look has not seen. Cost: a BEGIN and a COMMIT for
 * each pipeline.
 * @param options.idleMax a process that freezes loses its session after this long, and the stop goes on
 */
export async function holdPipeline<Found>(
  ledger: Kysely<LedgerTables>,
  options: {
    readonly idleMax: string;
    readonly look: (connection: Kysely<LedgerTables>) => Promise<Found>;
    readonly isOpen: (found: Found) => boolean;
  },
): Promise<HeldPipeline<Found>> {
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  // Not a Transaction of Kysely: one whose COMMIT fails never gives its connection back.
  let held: Promise<void> = Promise.resolve();
  const begun = await new Promise<{
    readonly found: Found;
    readonly connection: Kysely<LedgerTables>;
  }>((resolve, reject) => {
    held = ledger
      .connection()
      .execute(async (connection) => {
        await sql`begin`.execute(connection);
        try {
          await sql`select set_config('idle_in_transaction_session_timeout', ${options.idleMax}, true)`.execute(
            connection,
          );
          await lockPipelinesShared().execute(connection);
          const found = await options.look(connection);
          resolve({ found, connection });
          if (options.isOpen(found)) await left;
        } finally {
          await sql`commit`.execute(connection);
        }
      })
      // Before it is entered the error rises there; afterwards the lost connection has left already.
      .catch(reject);
  });
  if (!options.isOpen(begun.found)) await held;
  return {
    found: begun.found,
    isHeld: async () => {
      try {
        await sql`select 1`.execute(begun.connection);
        return true;
      } catch {
        return false;
      }
    },
    leave: async () => {
      leave();
      await held;
    },
  };
}
