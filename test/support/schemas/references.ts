import type { FillPlan } from './fill-plan.ts';
import { type Edge, mandatoryColumns, tableOf } from './graph.ts';
import type { Owner, Row, Rows } from './rows.ts';
import type { Values } from './uniqueness.ts';
import { hash } from './values.ts';

/** Of a hundred references that may be NULL, how many are. */
const nullPercent = 30;

/** One attempt at one row. */
export type Attempt = {
  readonly table: string;
  readonly owner: Owner;
  readonly index: number;
  readonly values: Values;
  /** From 0; each further one takes another combination of targets. */
  readonly number: number;
  /** Where the row is to stand in a tree. */
  readonly depth: number;
  /** The edge that gives the row its owner; it may not be NULL. */
  readonly owning: Edge | undefined;
  /** How many combinations of targets the edges settled before have. */
  combinations: number;
};

/** Picks what rows point at, so that every row has the owner it is made for. */
export class References {
  readonly #plan: FillPlan;
  readonly #rows: Rows;
  readonly #used = new Map<Edge, number>();

  constructor(plan: FillPlan, rows: Rows) {
    this.#plan = plan;
    this.#rows = rows;
  }

  /** Decides the edge's columns in `attempt.values`; false where nothing fits. */
  settle(edge: Edge, attempt: Attempt): boolean {
    const { values, owner } = attempt;
    if (edge.columns.some((column) => values.get(column) === null)) return true;
    const mandatory = mandatoryColumns(tableOf(this.#plan.graph, edge.from));
    const clearable = edge.columns.filter(
      (column) => !values.has(column) && !mandatory.has(column),
    );
    const clear = () => {
      for (const column of clearable) values.set(column, null);
      return clearable.length > 0;
    };
    const owns = edge === attempt.owning;
    if (clearable.length > 0 && !owns && this.#staysEmpty(edge, attempt)) return clear();
    const owned = this.#plan.distances.has(edge.to);
    let candidates = this.#rows.candidates(edge, owned ? owner : 'nobody', values);
    if (candidates.length === 0 && owned && owner !== 'nobody' && !owns) {
      if (clear()) return true;
      candidates = this.#rows.candidates(edge, 'nobody', values);
    }
    const target = this.#pick(edge, candidates, attempt);
    if (target === undefined) return !owns && clear();
    for (const [at, column] of edge.columns.entries()) {
      values.set(column, target.values.get(edge.references[at] ?? '') ?? null);
    }
    return true;
  }

  #staysEmpty(edge: Edge, { owner, index, number, depth }: Attempt): boolean {
    if (edge.from === edge.to) return depth === 0;
    if (owner === 'nobody' && this.#plan.distances.has(edge.to)) {
      return hash(`nobody ${edge.name} ${index}`) % 2 === 1;
    }
    return hash(`${edge.from} ${edge.name} ${index + number * 7} ${owner}`) % 100 < nullPercent;
  }

  #pick(edge: Edge, candidates: readonly Row[], attempt: Attempt): Row | undefined {
    const { length } = candidates;
    const { number, index, depth } = attempt;
    if (length === 0) return undefined;
    if (edge.from === edge.to) {
      return number === 0
        ? (candidates.findLast((row) => row.depth === depth - 1) ?? candidates[index % length])
        : candidates[length - 1 - (number % length)];
    }
    if (number > 0) {
      const place = Math.floor((number - 1 + index) / attempt.combinations);
      attempt.combinations *= length;
      return candidates[place % length];
    }
    if (this.#plan.distances.has(edge.to)) {
      return candidates[(index + (hash(edge.name) % 7)) % length];
    }
    // Shared rows in turn: a one-to-one reference finds one that is free.
    const used = this.#used.get(edge) ?? 0;
    this.#used.set(edge, used + 1);
    return candidates[used % length];
  }
}
