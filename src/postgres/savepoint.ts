import type pg from 'pg';
import { readFault } from './sqlstate.ts';

/**
 * Reads inside a savepoint, which is rolled back in any case, together with the settings made in it:
 * whatever PostgreSQL refuses, the transaction goes on.
 * @param mayRefuse the SQLSTATEs that are no error
 * @returns what `work` returns, or null where PostgreSQL refused
 */
export async function inSavepoint<Result>(
  client: pg.ClientBase,
  mayRefuse: (sqlState: string) => boolean,
  work: () => Promise<Result>,
): Promise<Result | null> {
  await client.query('savepoint looking');
  const end = async (): Promise<void> => {
    await client.query('rollback to savepoint looking; release savepoint looking');
  };
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    const { sqlState } = readFault(error);
    if (sqlState === null || LOST.test(sqlState) || !mayRefuse(sqlState)) throw error;
    await end();
    return null;
  }
  await end();
  return result;
}

/** Connection and server, not the statement. */
const LOST = /^(08|57P|25P)/;
