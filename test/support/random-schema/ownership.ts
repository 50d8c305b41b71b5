import {
  type ForeignKey,
  isMandatory,
  type Model,
  type Settings,
  type Table,
  TENANT_KEY,
  TENANT_TABLE,
  tableOf,
} from './model.ts';
import { candidateWays, type KeyWay, ruleOf, sameColumns, type Way } from './ways.ts';

/**
 * Whose the rows of each table are, by the rules of the design and nothing else: written without a
 * look at the planner, so that the two can be held against each other.
 */
export interface Ownership {
  /** For each owned table its ways, best first; only the last can be one that always has a value. */
  readonly ways: ReadonlyMap<string, readonly Way[]>;
  /** Two or more equally good best ways over different columns. */
  readonly ambiguous: ReadonlyMap<string, readonly Way[]>;
  /** Tables that no way owns, but nullable keys without a rule might. */
  readonly unclear: ReadonlyMap<string, readonly ForeignKey[]>;
  /**
   * Tables whose fallback the rules leave open: equally good ways after the first, or ways in a
   * circle. What is computed for them is one of several right answers.
   */
  readonly open: ReadonlySet<string>;
}

/** How good a way is beside its rank: less is better, `nullable` first. */
interface Cost {
  /** A value somewhere along the way may be missing. */
  readonly nullable: boolean;
  readonly length: number;
}

const TENANT_COST: Cost = { nullable: false, length: 0 };

/** Pure. */
export function findOwnership(model: Model, settings: Settings): Ownership {
  const candidates = new Map(
    model.tables
      .filter(({ name }) => name !== TENANT_TABLE)
      .map((table) => [table.name, candidateWays(model, settings, table)]),
  );
  const best = settleBest(model, candidates);
  const ways = new Map<string, readonly Way[]>();
  const ambiguous = new Map<string, readonly Way[]>();
  const open = new Set<string>();
  for (const [table, { way }] of best) ways.set(table, [way]);
  for (const [table, { way, cost }] of best) {
    const costed = costedWays(tableOf(model, table), candidates.get(table) ?? [], best);
    const ties = costed.filter(
      (one) => one.way.rank === way.rank && compareCost(one.cost, cost) === 0,
    );
    if (distinctColumns(ties.map((one) => one.way)) > 1) {
      ambiguous.set(
        table,
        ties.map((one) => one.way),
      );
    }
  }
  for (const table of best.keys()) {
    const others = costedWays(tableOf(model, table), candidates.get(table) ?? [], best);
    addFallbacks({ table, others, ways, open });
  }
  return { ways, ambiguous, unclear: findUnclear(model, settings, ways), open };
}

/** Columns that no clearing may touch: those that ways run over and those that keys refer to. */
export function fixedColumns(model: Model, ownership: Ownership, table: string): Set<string> {
  const fixed = new Set((ownership.ways.get(table) ?? []).flatMap(({ columns }) => columns));
  for (const other of model.tables) {
    for (const key of other.foreignKeys) {
      if (key.parent === table) for (const column of key.referencedColumns) fixed.add(column);
    }
  }
  return fixed;
}

interface Settled {
  readonly way: Way;
  readonly cost: Cost;
}

/**
 * The best way of every table that has one: always the best of all that lead to a settled table, so
 * that no way depends on itself. A table waits for its better ranks as long as they may come.
 */
function settleBest(
  model: Model,
  candidates: ReadonlyMap<string, readonly Way[]>,
): Map<string, Settled> {
  const settled = new Map<string, Settled>();
  for (;;) {
    let found: (Settled & { readonly table: string }) | undefined;
    for (const [table, ways] of candidates) {
      if (settled.has(table)) continue;
      const rank = Math.min(...ways.map((way) => way.rank));
      const best = ways.filter((way) => way.rank === rank);
      for (const one of costedWays(tableOf(model, table), best, settled)) {
        if (found === undefined || compareCost(one.cost, found.cost) < 0) {
          found = { ...one, table };
        }
      }
    }
    if (found === undefined) return settled;
    settled.set(found.table, found);
  }
}

/** Those of the ways that lead to the tenant, best first. */
function costedWays(
  table: Table,
  ways: readonly Way[],
  settled: ReadonlyMap<string, Settled>,
): Settled[] {
  return ways
    .flatMap((way) => {
      const carried = carriedWay(table, way, settled);
      if (carried !== null) return [carried];
      const beyond = way.kind === 'column' ? TENANT_COST : costOfParent(way, settled);
      if (beyond === undefined) return [];
      const cost = { nullable: way.nullable || beyond.nullable, length: beyond.length + 1 };
      return [{ way, cost }];
    })
    .sort((left, right) => left.way.rank - right.way.rank || compareCost(left.cost, right.cost));
}

/**
 * A key that carries the columns by which its parent is owned, as `(tenant_id, x_id)` does: the row
 * then names its owner itself, as well as the parent does.
 */
function carriedWay(table: Table, way: Way, settled: ReadonlyMap<string, Settled>): Settled | null {
  const parent = way.kind === 'key' ? settled.get(way.parent) : undefined;
  if (way.kind !== 'key' || parent === undefined || parent.way.nullable) return null;
  const columns = parent.way.columns.map(
    (column) => way.columns[way.referencedColumns.indexOf(column)],
  );
  const own = columns.filter((column) => column !== undefined);
  const [column] = own;
  if (column === undefined || own.length < columns.length) return null;
  const nullable = !isMandatory(table, own);
  const cost = { nullable: nullable || parent.cost.nullable, length: parent.cost.length };
  const shared = { rank: way.rank, columns: own, nullable };
  return parent.way.kind === 'column'
    ? { cost, way: { ...shared, kind: 'column', column } }
    : { cost, way: { ...parent.way, ...shared } };
}

function costOfParent(key: KeyWay, settled: ReadonlyMap<string, Settled>): Cost | undefined {
  if (key.parent !== TENANT_TABLE) return settled.get(key.parent)?.cost;
  // By way of another unique column of the tenant table it takes one step more.
  return key.referencedColumns.includes(TENANT_KEY) ? TENANT_COST : { nullable: false, length: 1 };
}

const compareCost = (left: Cost, right: Cost): number =>
  Number(left.nullable) - Number(right.nullable) || left.length - right.length;

/** Gives the table, whose best way is known, the ways for rows that have no value for it. */
function addFallbacks(options: {
  readonly table: string;
  readonly others: readonly Settled[];
  readonly ways: Map<string, readonly Way[]>;
  readonly open: Set<string>;
}): void {
  const { table, others, ways, open } = options;
  for (const [index, { way, cost }] of others.entries()) {
    const known = ways.get(table) ?? [];
    if (known.at(-1)?.nullable !== true) return;
    if (known.some(({ columns }) => sameColumns(columns, way.columns))) continue;
    if (way.kind === 'key' && dependsOn(way.parent, table, ways)) {
      // Which of the tables in a circle goes without is open for each of them.
      open.add(table);
      for (const other of ways.keys()) {
        if (dependsOn(way.parent, other, ways) && dependsOn(other, table, ways)) open.add(other);
      }
      continue;
    }
    const isTied = others.some(
      (other, at) =>
        at !== index &&
        other.way.rank === way.rank &&
        compareCost(other.cost, cost) === 0 &&
        !sameColumns(other.way.columns, way.columns),
    );
    if (isTied) open.add(table);
    ways.set(table, [...known, way]);
  }
}

function dependsOn(
  from: string,
  on: string,
  ways: ReadonlyMap<string, readonly Way[]>,
  seen: Set<string> = new Set(),
): boolean {
  if (from === on) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return (ways.get(from) ?? []).some(
    (way) => way.kind === 'key' && dependsOn(way.parent, on, ways, seen),
  );
}

/** Tables that nothing owns and that a nullable NO ACTION or RESTRICT key leads into the set from. */
function findUnclear(
  model: Model,
  settings: Settings,
  ways: ReadonlyMap<string, readonly Way[]>,
): Map<string, readonly ForeignKey[]> {
  const unclear = new Map<string, readonly ForeignKey[]>();
  for (const table of model.tables) {
    if (table.name === TENANT_TABLE || ways.has(table.name)) continue;
    const keys = table.foreignKeys.filter(
      (key) =>
        (key.onDelete === 'NO ACTION' || key.onDelete === 'RESTRICT') &&
        (key.parent === TENANT_TABLE || ways.has(key.parent)) &&
        ruleOf(settings, key) === undefined,
    );
    if (keys.length > 0) unclear.set(table.name, keys);
  }
  return unclear;
}

const distinctColumns = (ways: readonly Way[]): number =>
  new Set(ways.map(({ columns }) => columns.toSorted().join())).size;
