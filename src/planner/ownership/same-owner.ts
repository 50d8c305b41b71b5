import type { ReferenceCheck } from '../../domain/plan.ts';

/**
 * True where the key itself says that a row and the row it refers to have one owner, so that no data
 * can say otherwise. A row that refers has a value in each of the key's columns: a first way that
 * starts from these decides, however nullable they are. Pure.
 */
export function hasSameOwner(check: ReferenceCheck): boolean {
  const [way] = check.childPath?.ways ?? [];
  const [parentWay] = check.parent.ways;
  if (way === undefined || check.period) return false;
  switch (way.kind) {
    case 'parent':
      // The path follows this very key.
      return (
        way.when.length === 0 &&
        way.parent.table === check.parent.table &&
        way.relation === check.parentRelation &&
        isSamePairing(way, check)
      );
    case 'column':
      // The key carries the tenant's column on both sides.
      return (
        way.when.length === 0 &&
        parentWay?.kind === 'column' &&
        parentWay.when.length === 0 &&
        check.columns.some(
          (column, at) => column === way.column && check.referencedColumns[at] === parentWay.column,
        )
      );
    case 'child':
    case 'condition':
      return false;
    default:
      return way satisfies never;
  }
}

interface Pairing {
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

const isSamePairing = (left: Pairing, right: Pairing): boolean =>
  JSON.stringify(pairsOf(left)) === JSON.stringify(pairsOf(right));

const pairsOf = ({ columns, referencedColumns }: Pairing): string[] =>
  columns.map((column, at) => JSON.stringify([column, referencedColumns[at]])).sort();
