const PLACES = new WeakMap<object, string>();

/** Runs `work`; an error of it is remembered to have arisen at this table, for `placeOf`. */
export async function atTable<Result>(table: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (typeof error === 'object' && error !== null && !PLACES.has(error)) PLACES.set(error, table);
    throw error;
  }
}

/**
 * The table whose rows were being deleted when the error rose, null where that is not known. The server
 * names one for constraints only: not where a trigger raises, or a lock cannot be had.
 */
export const placeOf = (error: unknown): string | null =>
  typeof error === 'object' && error !== null ? (PLACES.get(error) ?? null) : null;
