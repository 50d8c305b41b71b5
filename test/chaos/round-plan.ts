import type { ChaosTenant } from './application.ts';
import { Draw, seedOfRound } from './draw.ts';
import { FAULT_KINDS, type FaultKind } from './faults/kinds.ts';

/** A fault, and when: once this part of the doomed rows is gone. */
export interface PlannedFault {
  readonly kind: FaultKind;
  readonly moment: number;
  readonly seed: number;
}

/** One round, decided before it begins: the same for the same seed on any machine. */
export interface RoundPlan {
  readonly seed: number;
  readonly round: number;
  readonly tenants: readonly ChaosTenant[];
  readonly workers: number;
  /** Clocks of the workers against ours, by seat. */
  readonly clockShiftsMs: readonly number[];
  readonly slots: number;
  readonly connections: number;
  readonly maxRows: number;
  readonly smallPurgeRows: number;
  readonly redisWaitMs: number;
  readonly faults: readonly PlannedFault[];
  /** Whether its purges archive; and what then decides which of them is restored. */
  readonly archives: boolean;
  readonly restoreSeed: number;
}

const CLOCKS_APART_MS = 60_000;
const LAST_MOMENT = 0.9;
const ARCHIVING_SHARE = 2 / 3;
/** Drawn apart, so that everything else of a round is what it was before rounds archived. */
const ARCHIVE_SALT = 0x41524348;

export function planRound(seed: number, round: number, only: FaultKind | null): RoundPlan {
  const draw = new Draw(seedOfRound(seed, round));
  const doomed = draw.whole(4, 8);
  const kept = draw.whole(2, 4);
  // Ids that begin alike, in an order that says nothing of who goes.
  const tenants = Array.from({ length: doomed + kept }, (_, index) => index)
    .map((index) => ({ id: `t${index + 1}`, order: draw.fraction() }))
    .sort((one, other) => one.order - other.order)
    .map(({ id }, index) => ({
      id,
      rows: draw.chance(0.3) ? draw.whole(2, 10) : draw.whole(20, 110),
      kept: index >= doomed,
    }));
  const workers = draw.whole(2, 3);
  const slots = draw.whole(1, 2);
  const connections = draw.whole(1, 2);
  const maxRows = draw.whole(2, 12);
  const smallPurgeRows = draw.chance(0.3) ? 150 : 0;
  const redisWaitMs = draw.chance(0.5) ? 0 : 300;
  const faults = Array.from(
    { length: only === null ? draw.whole(1, 3) : draw.whole(1, 2) },
    () => ({
      kind: only ?? draw.pick(FAULT_KINDS),
      moment: draw.fraction() * LAST_MOMENT,
      seed: draw.seed(),
    }),
  );
  const archiveDraw = new Draw(seedOfRound(seed, round) ^ ARCHIVE_SALT);
  const clocksApart = faults.some(({ kind }) => kind === 'clocks-apart');
  return {
    seed,
    round,
    tenants,
    workers,
    clockShiftsMs: Array.from({ length: workers }, (_, seat) =>
      clocksApart ? (seat % 2 === 0 ? CLOCKS_APART_MS : 0) : 0,
    ),
    slots,
    connections,
    maxRows,
    smallPurgeRows,
    redisWaitMs,
    faults,
    archives: archiveDraw.chance(ARCHIVING_SHARE),
    restoreSeed: archiveDraw.seed(),
  };
}

/** The command that does exactly this round again. */
export const replayCommand = (
  { seed, round }: Pick<RoundPlan, 'seed' | 'round'>,
  only: FaultKind | null,
): string =>
  `npm run -s chaos -- --seed ${seed} --round ${round}${only === null ? '' : ` --only ${only}`}`;
