/**
 * Turns in the queue go by size, so that small tenants do not stand behind a whale: 0 below 10,000
 * rows, and one more with every digit. Lower goes first; within one class, first come first served.
 */
export const priorityOf = (rows: number): number =>
  Math.max(0, Math.floor(Math.log10(Math.max(rows, 1))) - SMALL_DIGITS);

const SMALL_DIGITS = 3;

/** A purge that was interrupted goes behind all that were not: one that always fails holds up nobody. */
export const INTERRUPTED_PRIORITY = 100;

/** A purge in one of this process's slots. */
export interface TakenSlot {
  readonly slot: number;
  readonly priority: number;
}

/**
 * Whether the purge in `mine` gives its slot back: every slot of the process is taken by a larger
 * purge than the first that waits, and it is the largest of them. So one slot serves the smaller
 * ones, while the others are left alone: neither starves the other. Pure.
 * @param waiting priority of the first job in line; null: none waits
 */
export function givesWay(
  mine: TakenSlot,
  taken: readonly TakenSlot[],
  slots: number,
  waiting: number | null,
): boolean {
  if (waiting === null || taken.length < slots) return false;
  if (taken.some(({ priority }) => priority <= waiting)) return false;
  return !taken.some(
    ({ slot, priority }) =>
      priority > mine.priority || (priority === mine.priority && slot < mine.slot),
  );
}
