/** How many cases a property looks at, and from which seed; a soak asks for more. */
export interface PropertyRuns {
  readonly numRuns: number;
  readonly seed: number;
}

/** The same cases at each run: a change is judged by itself. Fresh ones are the soak's. */
const USUAL_SEED = 20_261_121;

/** `PROPERTY_RUNS` and `PROPERTY_SEED` of the environment go before the usual number and seed. */
export function propertyRuns(usual: number): PropertyRuns {
  const runs = numberOf('PROPERTY_RUNS');
  const seed = numberOf('PROPERTY_SEED');
  return { numRuns: runs ?? usual, seed: seed ?? USUAL_SEED };
}

/** True where the environment asks for a number of cases: then it wants to hear what they had. */
export const isSoak = (): boolean => numberOf('PROPERTY_RUNS') !== null;

/** Six times what a case takes on a quiet machine of two cores; what is left over shrinks one that fails. */
export const propertyTimeoutMs = ({ numRuns }: PropertyRuns): number => 60_000 + numRuns * 600;

function numberOf(name: string): number | null {
  const text = process.env[name];
  if (text === undefined || text === '') return null;
  const number = Number(text);
  if (!Number.isInteger(number)) throw new Error(`${name} must be an integer, not ${text}.`);
  return number;
}
