import type { TableFacts } from './facts.ts';
import type { FillPlan } from './fill-plan.ts';
import { carriesOwnership, type Edge, mandatoryColumns, tableOf } from './graph.ts';
import { type Attempt, References } from './references.ts';
import { type Owner, type Row, Rows } from './rows.ts';
import type { UniqueSet, Values } from './uniqueness.ts';
import { columnValue, decorate, hash } from './values.ts';

/** How many combinations of targets are tried for a row that must not equal another. */
const attemptsMax = 50;
/** Rows that could not be made before a table is left with those it has. */
const missesMax = 2;
const nullPercent = 30;
const treeDepth = 3;

export type RowCount = (table: string, owner: Owner) => number;

/** Makes the rows in memory: nobody's first, then each tenant's, tables in the plan's order. */
export function makeRows(
  plan: FillPlan,
  options: { readonly owners: readonly Owner[]; readonly count: RowCount },
): Rows {
  const rows = new Rows();
  const references = new References(plan, rows);
  const tables = plan.order.map((key, at) => new TableRows({ plan, rows, references, key, at }));
  for (const owner of options.owners) {
    for (const table of tables) table.make(owner, options.count(table.key, owner));
    for (const table of tables) table.close(owner);
  }
  return rows;
}

type Context = {
  readonly plan: FillPlan;
  readonly rows: Rows;
  readonly references: References;
  readonly key: string;
  readonly at: number;
};

/** One table while it is filled. */
class TableRows {
  readonly key: string;
  readonly #context: Context;
  readonly #table: TableFacts;
  readonly #mandatory: ReadonlySet<string>;
  /** Edges in the order in which they are settled: those that decide most first. */
  readonly #early: readonly Edge[];
  readonly #deferred: readonly Edge[];
  readonly #self: readonly Edge[];
  /** One of these must give a tenant's row its owner; empty where a mandatory edge does. */
  readonly #owningEarly: readonly Edge[];
  readonly #owningDeferred: readonly Edge[];
  readonly #late: ReadonlySet<string>;
  readonly #sets: readonly UniqueSet[];
  readonly #lateSets: readonly UniqueSet[];
  readonly #seen = new Map<UniqueSet, Set<string>>();
  #serial = 0;

  constructor(context: Context) {
    const { plan, key } = context;
    this.key = key;
    this.#context = context;
    this.#table = tableOf(plan.graph, key);
    this.#mandatory = mandatoryColumns(this.#table);
    const edges = plan.graph.edges
      .filter((edge) => edge.from === key)
      .toSorted((a, b) => b.columns.length - a.columns.length || +a.nullable - +b.nullable);
    this.#self = edges.filter((edge) => edge.to === key);
    this.#deferred = edges.filter((edge) => plan.deferred.has(edge));
    this.#early = edges.filter((edge) => edge.to !== key && !plan.deferred.has(edge));
    const decided = new Set([...this.#early, ...this.#self].flatMap(({ columns }) => columns));
    this.#late = new Set(
      this.#deferred.flatMap(({ columns }) => columns).filter((column) => !decided.has(column)),
    );
    const owning = this.#owningEdges();
    this.#owningEarly = owning.filter((edge) => this.#early.includes(edge));
    this.#owningDeferred = this.#owningEarly.length > 0 ? [] : owning;
    const sets = plan.uniqueSets.get(key) ?? [];
    const isLate = (set: UniqueSet) =>
      [...set.columns, ...set.conditions].some((column) => this.#late.has(column));
    this.#sets = sets.filter((set) => !isLate(set));
    this.#lateSets = sets.filter(isLate);
  }

  make(owner: Owner, count: number): void {
    let misses = 0;
    for (let index = 0; index < count + missesMax && misses < missesMax; index++) {
      if (this.#context.rows.of(this.key, owner).length >= count) return;
      const row = this.#makeRow(owner, index);
      if (row === undefined) misses++;
      else misses = 0;
      if (row !== undefined) this.#context.rows.add(this.key, row);
    }
  }

  /** Settles the edges that waited for the owner's other tables. */
  close(owner: Owner): void {
    if (this.#late.size === 0) return;
    for (const row of this.#context.rows.of(this.key, owner)) {
      const values = this.#firstFitting((number) => this.#settleLate(row, number), this.#lateSets);
      for (const column of this.#late) row.values.set(column, values?.get(column) ?? null);
    }
  }

  #makeRow(owner: Owner, index: number): Row | undefined {
    const depth = index % treeDepth;
    const values = this.#firstFitting(
      (number) => this.#settleEarly({ owner, index, number, depth }),
      this.#sets,
    );
    if (values === undefined) return undefined;
    this.#serial += 1;
    return { owner, index, depth: this.#depthOf(owner, values), values };
  }

  #firstFitting(
    settle: (number: number) => Values | undefined,
    sets: readonly UniqueSet[],
  ): Values | undefined {
    for (let number = 0; number < attemptsMax; number++) {
      const values = settle(number);
      if (values !== undefined && this.#claim(sets, values)) return values;
    }
    return undefined;
  }

  #settleEarly(place: Pick<Attempt, 'owner' | 'index' | 'number' | 'depth'>): Values | undefined {
    const owners = place.owner === 'nobody' ? [] : this.#owningEarly;
    const owning = owners[(place.index + place.number) % owners.length];
    const attempt = { ...place, table: this.key, values: new Map(), owning, combinations: 1 };
    const settled = [...this.#ownerFirst(owning), ...this.#self].every((edge) =>
      this.#context.references.settle(edge, attempt),
    );
    if (!settled) return undefined;
    this.#fillColumns(attempt);
    return attempt.values;
  }

  /** Ahead of the others, save those over several columns, which leave it less to choose. */
  #ownerFirst(owning: Edge | undefined): readonly Edge[] {
    if (owning === undefined) return this.#early;
    return this.#early.toSorted(
      (a, b) => b.columns.length - a.columns.length || +(b === owning) - +(a === owning),
    );
  }

  #settleLate(row: Row, number: number): Values | undefined {
    const owners = row.owner === 'nobody' ? [] : this.#owningDeferred;
    const owning = owners[(row.index + number) % owners.length];
    const values = new Map(row.values);
    const attempt = { ...row, table: this.key, values, number, owning, combinations: 1 };
    const settled = this.#deferred.every((edge) => this.#context.references.settle(edge, attempt));
    return settled ? values : undefined;
  }

  #owningEdges(): readonly Edge[] {
    const { distances, graph, ownership } = this.#context.plan;
    const own = distances.get(this.key);
    if (own === undefined || this.key === graph.root) return [];
    const near = graph.edges.filter(
      (edge) =>
        edge.from === this.key &&
        carriesOwnership(edge, ownership) &&
        (distances.get(edge.to) ?? own) < own,
    );
    return near.some((edge) => !edge.nullable) ? [] : near;
  }

  #fillColumns({ values, index, number }: Attempt): void {
    const serial = this.#serial + 1;
    const prefix = `${(this.#context.at + 10).toString(36)}_`;
    const referenced = this.#context.plan.referenced.get(this.key);
    for (const column of this.#table.columns) {
      const { name } = column;
      if (values.has(name) || column.generated !== undefined || this.#late.has(name)) continue;
      const isKey =
        referenced?.has(name) === true ||
        column.identity !== undefined ||
        this.#table.primaryKey.includes(name) ||
        this.#sets.some((set) => set.columns.includes(name));
      const isEmpty =
        !isKey &&
        !this.#mandatory.has(name) &&
        hash(`${this.key}.${name} ${index}`) % 100 < nullPercent;
      if (isEmpty) {
        values.set(name, null);
        continue;
      }
      const labels = this.#context.plan.labelsOf(column);
      const value = columnValue(column, { serial, prefix, labels, variant: index + number });
      values.set(name, isKey ? value : decorate(column, value, serial));
    }
  }

  /** False where a set has the row's key already; else they all have it from now on. */
  #claim(sets: readonly UniqueSet[], values: Values): boolean {
    const claims = sets.flatMap((set) => {
      const key = set.keyOf(values);
      const seen = this.#seen.get(set) ?? new Set();
      this.#seen.set(set, seen);
      return key === undefined ? [] : [{ seen, key }];
    });
    if (claims.some(({ seen, key }) => seen.has(key))) return false;
    for (const { seen, key } of claims) seen.add(key);
    return true;
  }

  #depthOf(owner: Owner, values: Values): number {
    const [edge] = this.#self;
    if (edge === undefined || edge.columns.some((column) => values.get(column) === null)) return 0;
    const [parent] = this.#context.rows.candidates(edge, owner, values);
    return parent === undefined ? 0 : parent.depth + 1;
  }
}
