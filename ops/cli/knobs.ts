import { PurgeError } from '../../src/domain/errors.ts';
import type { Knobs } from '../../src/domain/load.ts';
import { parseCount } from './command.ts';

/** What each knob takes; the same on the command line and on the board. */
export const KNOB_BOUNDS: Readonly<
  Record<keyof Knobs, { readonly min: number; readonly max: number }>
> = {
  /** 0: no cap. */
  maxRowsPerSec: { min: 0, max: 100_000_000 },
  targetMs: { min: 10, max: 10_000 },
  maxRows: { min: 1, max: 10_000_000 },
};

export const KNOB_NAMES: readonly (keyof Knobs)[] = ['maxRowsPerSec', 'targetMs', 'maxRows'];

/**
 * Knobs out of what somebody typed; what was not typed is not turned. Pure.
 * @param nameOf a knob in the words of who typed, for the message
 * @throws PurgeError USAGE, with every knob that is out of bounds
 */
export function parseKnobs(
  typed: Readonly<Partial<Record<keyof Knobs, string | undefined>>>,
  nameOf: (knob: keyof Knobs) => string,
): Knobs {
  const problems: string[] = [];
  const knobs = KNOB_NAMES.flatMap((knob) => {
    const text = typed[knob];
    if (text === undefined) return [];
    try {
      return [[knob, parseCount(text, nameOf(knob), KNOB_BOUNDS[knob])] as const];
    } catch (error) {
      if (!(error instanceof PurgeError)) throw error;
      problems.push(error.message);
      return [];
    }
  });
  if (problems.length > 0) throw new PurgeError('USAGE', problems.join('\n'));
  return Object.fromEntries(knobs);
}
