import type { Hazard } from '../../../src/domain/hazard.ts';
import { keyOf, type SchemaFacts } from './facts.ts';
import type { FilledSchema } from './fill.ts';
import { indexRows, type Survey, valuesKey } from './oracle.ts';
import { outsideTypes } from './purge-settings.ts';

/** Rows that a hazard names. */
const rowsNamedMax = 5;

/** By reference, the keys of the rows that point at a row of one of the tenants and are not its own. */
export type OutsideRows = ReadonlyMap<string, readonly string[]>;

export function outsideRows(
  { graph, rows }: Survey,
  { tenants }: { readonly tenants: readonly number[] },
): OutsideRows {
  const found = new Map<string, string[]>();
  for (const edge of graph.edges) {
    const targets = indexRows(rows.get(edge.to) ?? [], edge.references);
    const referring = (rows.get(edge.from) ?? []).filter((row) => {
      const owner = targets.get(valuesKey(row, edge.columns) ?? '')?.[0]?.owner;
      return typeof owner === 'number' && tenants.includes(owner) && owner !== row.owner;
    });
    if (referring.length > 0) {
      found.set(
        referenceName(edge),
        referring.map(({ key }) => key),
      );
    }
  }
  return found;
}

/** The same as numbers, as the filler meant it. */
export function crossingCounts(
  { crossing }: FilledSchema,
  { tenants }: { readonly tenants: readonly number[] },
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { table, columns, to, toTenant } of crossing) {
    const name = referenceName({ from: table, columns, to });
    if (tenants.includes(toTenant)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** Hazards that tell of such rows, whatever is to become of them, by reference. */
export function outsideHazards(
  facts: SchemaFacts,
  hazards: readonly Hazard[],
): ReadonlyMap<string, Hazard> {
  const names = new Map(
    facts.foreignKeys.map(({ name, from, to }) => [
      `${keyOf(from)}.${name}`,
      referenceName({ from: keyOf(from), columns: from.columns, to: keyOf(to) }),
    ]),
  );
  return new Map(
    hazards
      .filter(({ type }) => outsideTypes.includes(type) || type === 'CLEARED_REFERENCE')
      .map((hazard) => {
        const key = hazard.foreignKey?.replaceAll('"', '') ?? '';
        return [names.get(key) ?? key, hazard];
      }),
  );
}

/** Whether the hazard names as many of these rows as it may; one without primary key is an address. */
export function namesRows(hazard: Hazard, rows: readonly string[]): boolean {
  const wanted = Math.min(rows.length, rowsNamedMax);
  const addresses = hazard.message.match(/ctid = /g) ?? [];
  const named = rows.filter((row) => hazard.message.includes(`${printed(row)} (of `));
  const unowned = rows.filter((row) => hazard.message.includes(`${printed(row)} (to `));
  return Math.max(addresses.length, named.length + unowned.length) === wanted;
}

/** Two keys over the same columns are one reference. */
function referenceName(reference: {
  readonly from: string;
  readonly columns: readonly string[];
  readonly to: string;
}): string {
  return `${reference.from}(${reference.columns.join(', ')}) → ${reference.to}`;
}

/** `id=5`, as a survey has it, in a hazard's words. */
function printed(key: string): string {
  return key
    .split(', ')
    .map((part) => part.replace('=', ' = '))
    .join(', ');
}
