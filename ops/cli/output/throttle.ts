import type { Holding, Knobs } from '../../../src/domain/load.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { Holdings, ThrottleState } from '../../../src/postgres/ledger/throttle.ts';
import { formatNumber, plural } from './text.ts';

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
  return [
    ...(holding === null
      ? []
      : [
          `Holds since ${timeOf(holding)} UTC, and goes on by itself:`,
          ...holding.reasons.map((r) => `  ${r}`),
        ]),
    ...tunedLine('Tuned', tuned),
    ...tunedLine('Tuned for all purges', fleetTuned),
  ];
}

/** More purges that hold are counted, not listed. */
const HOLDS_SHOWN_MAX = 10;

/** Lines for a list of purges: which of them hold, and why. */
export function holdLines(purges: readonly PurgeRecord[], holdings: Holdings): string[] {
  const held = purges.flatMap((purge) => {
    const holding = holdings.get(purge.id);
    return holding === undefined ? [] : [{ purge, holding }];
  });
  if (held.length === 0) return [];
  const more = held.length - HOLDS_SHOWN_MAX;
  return [
    `${plural(held.length, 'purge')} ${held.length === 1 ? 'holds, and goes on by itself' : 'hold, and go on by themselves'}:`,
    ...held
      .slice(0, HOLDS_SHOWN_MAX)
      .map(
        ({ purge, holding }) =>
          `  ${purge.tenantLabel}, since ${timeOf(holding)} UTC: ${holding.reasons.join('; ')}`,
      ),
    ...(more > 0 ? [`  … and ${formatNumber(more)} more; --json lists all`] : []),
  ];
}

/** For JSON: why it holds, or null. */
export const holdingDocument = (holding: Holding | null | undefined): object => ({
  holding:
    holding === null || holding === undefined
      ? null
      : { reasons: holding.reasons, since: holding.since },
});

/** For JSON: the knobs that count for the purge, where any is turned. */
export const throttleDocument = ({ holding, tuned, fleetTuned }: ThrottleState): object => ({
  ...holdingDocument(holding),
  tuned: { ...fleetTuned, ...tuned },
});

const timeOf = ({ since }: Holding): string => since.toISOString().slice(11, 19);

function tunedLine(title: string, knobs: Knobs): string[] {
  const text = describeKnobs(knobs);
  return text === '' ? [] : [`${title}: ${text}`];
}
