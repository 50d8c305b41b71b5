/** How many cases a property looks at, and from which seed; a soak asks for more. */
export interface PropertyRuns {
  readonly numRuns: number;
  readonly seed?: number;
}

/** `PROPERTY_RUNS` and `PROPERTY_SEED` of the environment go before the usual number. */
export function propertyRuns(usual: number): PropertyRuns {
  const runs = numberOf('PROPERTY_RUNS');
  const seed = numberOf('PROPERTY_SEED');
  return { numRuns: runs ?? usual, ...(seed === null ? {} : { seed }) };
}

function numberOf(name: string): number | null {
  const text = process.env[name];
  if (text === undefined || text === '') return null;
  const number = Number(text);
  if (!Number.isInteger(number)) throw new Error(`${name} must be an integer, not ${text}.`);
  return number;
}
