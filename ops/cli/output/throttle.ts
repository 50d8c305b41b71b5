import type { Knobs } from '../../../src/domain/load.ts';
import type { ThrottleState } from '../../../src/postgres/ledger/throttle.ts';
import { formatNumber } from './text.ts';

/** `at most 5,000 rows/s, batches of 100 ms`; empty where no knob is turned. */
export function describeKnobs({ maxRowsPerSec, targetMs, maxRows }: Knobs): string {
  return [
    ...(maxRowsPerSec === undefined
      ? []
      : [
          maxRowsPerSec === 0
            ? 'no cap on rows per second'
            : `at most ${formatNumber(maxRowsPerSec)} rows/s`,
        ]),
    ...(targetMs === undefined ? [] : [`batches of ${formatNumber(targetMs)} ms`]),
    ...(maxRows === undefined ? [] : [`of at most ${formatNumber(maxRows)} rows`]),
  ].join(', ');
}

/** Lines for `status` of one purge: why it holds, and what was tuned. */
export function throttleLines({ holding, tuned, fleetTuned }: ThrottleState): string[] {
  const since = holding?.since.toISOString().slice(11, 19);
  return [
    ...(holding === null
      ? []
      : [
          `Holds since ${since} UTC, and goes on by itself:`,
          ...holding.reasons.map((r) => `  ${r}`),
        ]),
    ...tunedLine('Tuned', tuned),
    ...tunedLine('Tuned for all purges', fleetTuned),
  ];
}

/** For JSON: the knobs that count for the purge, where any is turned. */
export const throttleDocument = ({ holding, tuned, fleetTuned }: ThrottleState): object => ({
  holding: holding === null ? null : { reasons: holding.reasons, since: holding.since },
  tuned: { ...fleetTuned, ...tuned },
});

function tunedLine(title: string, knobs: Knobs): string[] {
  const text = describeKnobs(knobs);
  return text === '' ? [] : [`${title}: ${text}`];
}
