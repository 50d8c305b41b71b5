import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import {
  areComparable,
  areEquatable,
  columnOf,
  type SchemaMap,
  sameColumns,
} from '../schema-map.ts';
import { type Claim, leadsTo, type ParentClaim } from './claim.ts';
import type { OwnerFacts } from './owner-facts.ts';
import {
  ambiguousOwner,
  columnWithoutKey,
  incomparableColumn,
  incomparableReference,
  operatorCondition,
  rowsOfNobody,
} from './ownership-hazards.ts';

/** OWNER_AMBIGUOUS, where several claims are equally good and the operator has named none. Pure. */
export function findAmbiguity(table: TableName, best: readonly Claim[]): Hazard[] {
  const isAmbiguous = best.length > 1 && best.every((claim) => claim.via !== 'configuration');
  return isAmbiguous ? [ambiguousOwner(table, best)] : [];
}

/**
 * What an operator has to know of the claims by which tables are owned. Pure.
 * @param settled the claims of the tables whose rows go
 * @param tables those to look at, and their claims
 */
export function findClaimHazards(
  facts: OwnerFacts,
  settled: ReadonlyMap<TableName, readonly Claim[]>,
  tables: readonly (readonly [TableName, readonly Claim[]])[],
): Hazard[] {
  const nobodys = new NobodysRows(settled);
  return tables.flatMap(([table, claims]) => {
    const [best] = claims;
    if (best === undefined) return [];
    return [
      ...(best.kind === 'condition' ? [operatorCondition(table, best.sql)] : []),
      ...(nobodys.mayBe(claims) ? [rowsOfNobody(table, claims)] : []),
      ...claims.flatMap((claim) => hazardsOfClaim(facts, table, claim)),
    ];
  });
}

/** Which tables may have rows that are nobody's; asks each table once. */
class NobodysRows {
  readonly #settled: ReadonlyMap<TableName, readonly Claim[]>;
  readonly #known = new Map<TableName, boolean>();

  constructor(settled: ReadonlyMap<TableName, readonly Claim[]>) {
    this.#settled = settled;
  }

  /** True where the way that decides for a row may end without an owner. */
  mayBe(claims: readonly Claim[]): boolean {
    if (claims.every((claim) => claim.ownNullable)) return true;
    return claims.some((claim) => {
      const parent = leadsTo(claim);
      return parent !== null && this.#mayBeIn(parent);
    });
  }

  #mayBeIn(table: TableName): boolean {
    const known = this.#known.get(table);
    if (known !== undefined) return known;
    const found = this.mayBe(this.#settled.get(table) ?? []);
    this.#known.set(table, found);
    return found;
  }
}

function hazardsOfClaim(facts: OwnerFacts, table: TableName, claim: Claim): Hazard[] {
  const { map, tenant } = facts;
  const [column] = claim.columns;
  const hazards: Hazard[] = [];
  if (claim.via === 'column' && column !== undefined) {
    hazards.push(columnWithoutKey(table, column, tenant.table));
  }
  if (claim.kind === 'parent') hazards.push(...referenceHazards(facts, table, claim));
  if (claim.kind !== 'column' || claim.via !== 'configuration') return hazards;
  const type = columnTypeOf(map, table, claim.column);
  const mayBeText = claim.when.length > 0 && areComparable(type, 'text');
  if (!mayBeText && !areComparable(type, tenant.keyType)) {
    hazards.push(incomparableColumn(table, claim.column, type, tenant.keyType));
  }
  return hazards;
}

/** A reference that only the configuration declares: PostgreSQL has never compared the two. */
function referenceHazards(
  { map, rules }: OwnerFacts,
  table: TableName,
  { columns, parent, referencedColumns }: ParentClaim,
): Hazard[] {
  const entry = rules.owners
    .get(table)
    ?.find(({ to, columns: own }) => to === parent && sameColumns(own, columns));
  const [column, referenced] = [columns[0], referencedColumns[0]];
  if (entry === undefined || column === undefined || referenced === undefined) return [];
  const type = columnTypeOf(map, table, column);
  const expected = columnTypeOf(map, parent, referenced);
  return areEquatable(type, expected)
    ? []
    : [incomparableReference(table, { column, type, entry, parent, expected })];
}

const columnTypeOf = (map: SchemaMap, table: TableName, column: string): string => {
  const found = map.byName.get(table);
  return (found && columnOf(found, column)?.type) ?? '';
};
