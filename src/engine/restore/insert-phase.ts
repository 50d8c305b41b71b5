import type { TableName } from '../../domain/ids.ts';
import { insertCircle } from './circle-insert.ts';
import type { RestoreUnit } from './restore-plan.ts';
import type { RestoreRun } from './restore-run.ts';
import { copyTable } from './table-copy.ts';

/**
 * Puts the rows of all units back: each as soon as those that it refers to are there, so many side
 * by side as there are connections. The first that fails stops the others after their batch in hand.
 */
export async function restoreUnits(run: RestoreRun, connections: number): Promise<void> {
  const failure = new AbortController();
  const own = { ...run, signal: AbortSignal.any([run.signal, failure.signal]) };
  const waiting = new Set(run.units);
  const working = new Map<RestoreUnit, Promise<void>>();
  let first: { readonly error: unknown } | null = null;
  const start = (unit: RestoreUnit): void => {
    waiting.delete(unit);
    const work = restoreUnit(own, unit)
      .catch((error: unknown) => {
        first ??= { error };
        failure.abort(error);
      })
      .finally(() => working.delete(unit));
    working.set(unit, work);
  };
  for (;;) {
    const isOpen = (unit: RestoreUnit): boolean => waiting.has(unit) || working.has(unit);
    for (const unit of waiting) {
      if (first !== null || working.size >= connections) break;
      if (!parentsOf(run, unit).some(isOpen)) start(unit);
    }
    if (working.size === 0) break;
    await Promise.race(working.values());
  }
  if (first !== null) throw (first as { readonly error: unknown }).error;
}

/** Units with rows that those of this one may refer to. */
function parentsOf({ target, units }: RestoreRun, unit: RestoreUnit): RestoreUnit[] {
  const own = new Set(namesOf(unit));
  const parents = new Set(
    target.keys.filter(({ child }) => own.has(child)).map(({ parent }) => parent),
  );
  return units.filter((each) => each !== unit && namesOf(each).some((name) => parents.has(name)));
}

const namesOf = (unit: RestoreUnit): TableName[] =>
  unit.kind === 'copy' ? [unit.table.table] : unit.tables.map(({ table }) => table);

/** Puts the rows of a unit back, as far as they are not. */
async function restoreUnit(run: RestoreRun, unit: RestoreUnit): Promise<void> {
  switch (unit.kind) {
    case 'copy':
      return copyTable(run, unit.table, []);
    case 'link':
      for (const table of unit.tables) {
        await copyTable(run, table, unit.links.get(table.table) ?? []);
      }
      return;
    case 'together':
      return insertCircle(run, unit.tables);
    default:
      return unit satisfies never;
  }
}
