import { keyOf, type SchemaFacts, type TableFacts } from './facts.ts';
import { quoteTable } from './script.ts';
import { columnValue } from './values.ts';

/** The serial number in a table from which rows lie in the default partition. */
const firstDefaultSerial = 5;

/**
 * Statements that give every partitioned table a place for any row: two hash partitions, or a
 * default one and, where none had bounds, one below it, so that a tenant's rows lie in several.
 * Applications make such partitions while they run, so the facts do not have them. Idempotent.
 */
export function addMissingPartitions(facts: SchemaFacts): string[] {
  return facts.tables.flatMap((table) => {
    const bounds = facts.tables
      .filter(({ partitionOf }) => partitionOf !== undefined && keyOf(partitionOf) === keyOf(table))
      .map(({ bound }) => bound ?? '');
    return missingBounds(table, bounds).map(([suffix, bound]) => {
      const partition = quoteTable(table.schema, `${table.name.slice(0, 50)}_${suffix}`);
      const parent = quoteTable(table.schema, table.name);
      return `create table if not exists ${partition} partition of ${parent} ${bound}`;
    });
  });
}

type Partition = readonly [suffix: string, bound: string];

function missingBounds(table: TableFacts, bounds: readonly string[]): Partition[] {
  const [, method, name] = /^(\w+) \("?([^",()]+)"?\)$/.exec(table.partitionKey ?? '') ?? [];
  if (table.partitionKey === undefined || bounds.includes('DEFAULT')) return [];
  if (method === 'HASH') {
    if (bounds.length > 0) return [];
    return [0, 1].map((rest) => [`p${rest}`, `for values with (modulus 2, remainder ${rest})`]);
  }
  const column = table.columns.find((other) => other.name === name);
  if (method !== 'RANGE' || column === undefined || bounds.length > 0) return [['rest', 'default']];
  const limit = columnValue(column, { serial: firstDefaultSerial, prefix: '', variant: 0 });
  return [
    ['first', `for values from (minvalue) to ('${limit}')`],
    ['rest', 'default'],
  ];
}
