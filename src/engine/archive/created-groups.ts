import type { TableName } from '../../domain/ids.ts';
import { deletesOf, type Plan } from '../../domain/plan.ts';

/**
 * Tables in the order in which whole rows can go in, parents first. A purge clears what keeps an order
 * from existing before it deletes, and archives that apart; here the rows are as they are. So wherever
 * a key leads from a table to a later one, all from the one to the other form a circle and go in
 * together. Pure.
 */
export function createdGroups(
  plan: Plan,
  foreignKeys: readonly { readonly child: TableName; readonly parent: TableName }[],
): TableName[][] {
  const groups = plan.levels
    .flatMap(({ steps }) => steps)
    .map((step) => deletesOf(step).map(({ table }) => table))
    .filter((tables) => tables.length > 0)
    .reverse();
  const placeOf = new Map(groups.flatMap((tables, place) => tables.map((table) => [table, place])));
  /** For each place the last one that has to go in with it. */
  const reach = groups.map((_, place) => place);
  for (const { child, parent } of foreignKeys) {
    const from = placeOf.get(child);
    const to = placeOf.get(parent);
    if (from !== undefined && to !== undefined) reach[from] = Math.max(reach[from] ?? 0, to);
  }
  const merged: TableName[][] = [];
  let end = -1;
  for (const [place, tables] of groups.entries()) {
    const last = merged.at(-1);
    if (place <= end && last !== undefined) last.push(...tables);
    else merged.push([...tables]);
    end = Math.max(end, reach[place] ?? place);
  }
  return merged;
}
