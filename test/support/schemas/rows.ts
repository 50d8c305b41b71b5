import type { Edge } from './graph.ts';
import type { Values } from './uniqueness.ts';

/** A tenant's number, or nobody: shared rows and rows without a tenant. */
export type Owner = number | 'nobody';

export type Row = {
  readonly owner: Owner;
  /** From 0, within the owner's rows of the table. */
  readonly index: number;
  /** Steps to the top of the tree that a self reference makes. */
  depth: number;
  values: Values;
};

/** The rows made so far, and those of them that a key may point at. */
export class Rows {
  readonly #byTable = new Map<string, Map<Owner, Row[]>>();
  readonly #candidates = new Map<string, Map<string, Row[]>>();

  of(table: string, owner: Owner): readonly Row[] {
    return this.#byTable.get(table)?.get(owner) ?? [];
  }

  owners(table: string): ReadonlyMap<Owner, readonly Row[]> {
    return this.#byTable.get(table) ?? new Map<Owner, Row[]>();
  }

  add(table: string, row: Row): void {
    const owners = this.#byTable.get(table) ?? new Map<Owner, Row[]>();
    this.#byTable.set(table, owners);
    const rows = owners.get(row.owner) ?? [];
    owners.set(row.owner, rows);
    rows.push(row);
  }

  /** Rows of the edge's target that agree with what its columns already hold in `values`. */
  candidates(edge: Edge, owner: Owner, values: Values): readonly Row[] {
    const decided = edge.columns.map((column) => values.has(column));
    const wanted = edge.columns.map((column) => values.get(column));
    const find = (row: Row) => {
      const key = edge.references.map((column) => row.values.get(column) ?? null);
      return key.includes(null) ? undefined : JSON.stringify(key.filter((_, at) => decided[at]));
    };
    const sought = JSON.stringify(wanted.filter((_, at) => decided[at]));
    const rows = this.of(edge.to, owner);
    // A table's rows are complete before another points at them, but not before its own do.
    if (edge.from === edge.to) return rows.filter((row) => find(row) === sought);
    const id = JSON.stringify([edge.to, edge.references, owner, decided]);
    let byKey = this.#candidates.get(id);
    if (byKey === undefined) {
      byKey = new Map<string, Row[]>();
      for (const row of rows) {
        const key = find(row);
        if (key !== undefined) byKey.set(key, [...(byKey.get(key) ?? []), row]);
      }
      this.#candidates.set(id, byKey);
    }
    return byKey.get(sought) ?? [];
  }
}
