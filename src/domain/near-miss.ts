import { closest, distance } from 'fastest-levenshtein';

/** A word of n letters may differ in n / 3 of them, at least in this many. */
const TOLERANCE_MIN = 2;

/**
 * The candidate that the word was probably meant to be, or null where none is near. Compares
 * without regard to case. Pure.
 */
export function nearestMatch(word: string, candidates: readonly string[]): string | null {
  if (candidates.length === 0) return null;
  const wanted = word.toLowerCase();
  const lowered = candidates.map((candidate) => candidate.toLowerCase());
  const best = closest(wanted, lowered);
  const tolerance = Math.max(TOLERANCE_MIN, Math.floor(best.length / 3));
  if (distance(wanted, best) > Math.min(tolerance, best.length - 1)) return null;
  return candidates[lowered.indexOf(best)] ?? null;
}
