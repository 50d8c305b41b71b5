import {
  type Data,
  type ForeignKey,
  foreignKeysOf,
  fullValues,
  type KeyRule,
  type Model,
  type RandomCase,
  type Row,
  rowsOf,
  ruleName,
  TENANT_KEY,
  TENANT_TABLE,
  tableOf,
} from './model.ts';
import { findOwnership, fixedColumns, type Ownership } from './ownership.ts';

/** What must come of a purge, by looking at every row. */
export interface ExpectedPurge {
  /** Reasons of which each alone makes the purge refuse; empty where it must go through. */
  readonly mustRefuse: readonly Reason[];
  /** Reasons for which it may refuse, where the rules are silent. */
  readonly mayRefuse: readonly Reason[];
  /** All rows once the purge went through. */
  readonly rows: Data;
  /** Rows that go, by table; tables that lose none are left out. */
  readonly deleted: ReadonlyMap<string, readonly Row[]>;
  /** How many of these are another tenant's or nobody's, and go by a `delete` rule. */
  readonly deletedOfOthers: number;
  /** Rows of others, before and after, whose references a `set-null` rule clears. */
  readonly cleared: readonly ClearedRow[];
  readonly ownership: Ownership;
}

export interface Reason {
  readonly kind:
    | 'OWNER_AMBIGUOUS'
    | 'OWNER_UNCLEAR'
    /** Ways after the best are left open by the rules. */
    | 'OWNER_OPEN'
    /** A row of another tenant or of nobody refers to a row that goes. */
    | 'OUTSIDE_REFERENCE'
    /** The columns to clear are NOT NULL, or needed elsewhere. */
    | 'NOT_CLEARABLE'
    /** A row that goes by a `delete` rule is itself referred to. */
    | 'DELETED_REFERENCE';
  /** The one that refers. */
  readonly table: string;
  readonly foreignKey?: string;
}

export interface ClearedRow {
  readonly table: string;
  readonly columns: readonly string[];
  /** References that are cleared so, one or more. */
  readonly references: number;
  readonly before: Row;
  readonly after: Row;
}

/** Pure. What the purge of the case's tenant must do, or why it must not. */
export function expectPurge(
  found: RandomCase,
  /** By which ways the rows of these tables are somebody's, in place of those found here. */
  given: { readonly ways: Ownership['ways'] } = { ways: new Map() },
): ExpectedPurge {
  const { model, data, settings } = found;
  const ruled = findOwnership(model, settings);
  const ownership = { ...ruled, ways: new Map([...ruled.ways, ...given.ways]) };
  const mustRefuse: Reason[] = [
    ...[...ownership.ambiguous.keys()].map((table) => reason('OWNER_AMBIGUOUS', table)),
    ...[...ownership.unclear.keys()].map((table) => reason('OWNER_UNCLEAR', table)),
  ];
  const mayRefuse: Reason[] = [...ownership.open]
    .filter((table) => !given.ways.has(table))
    .map((table) => reason('OWNER_OPEN', table));
  const owners = new OwnerOf(data, ownership);
  const doomed = new Set<Row>();
  for (const { name } of model.tables) {
    for (const row of rowsOf(data, name)) {
      if (owners.find(name, row) === found.tenant) doomed.add(row);
    }
  }
  const references = findReferences(model, data).filter(({ to }) => doomed.has(to));
  const outside = references.filter(({ from }) => !doomed.has(from));
  const ruleOf = (key: ForeignKey): KeyRule | undefined => settings.foreignKeys[ruleName(key)];
  const also = new Set(
    outside.filter(({ key }) => ruleOf(key) === 'delete').map(({ from }) => from),
  );

  const cleared = new Map<Row, Clearing>();
  for (const { key, from } of outside) {
    const goesAnyway = also.has(from);
    switch (ruleOf(key)) {
      case 'delete':
        break;
      case 'set-null': {
        if (goesAnyway) break;
        const columns = clearableColumns(model, ownership, key);
        const known = cleared.get(from) ?? { table: key.child, columns: new Set(), references: 0 };
        for (const column of columns ?? []) known.columns.add(column);
        cleared.set(from, { ...known, references: known.references + 1 });
        break;
      }
      default:
        (goesAnyway ? mayRefuse : mustRefuse).push(reason('OUTSIDE_REFERENCE', key.child, key));
    }
  }
  for (const key of foreignKeysOf(model)) {
    const isInto = key.parent === TENANT_TABLE || ownership.ways.has(key.parent);
    if (!isInto || ruleOf(key) !== 'set-null') continue;
    if (clearableColumns(model, ownership, key) !== null) continue;
    const happens = outside.some((one) => one.key === key && !also.has(one.from));
    (happens ? mustRefuse : mayRefuse).push(reason('NOT_CLEARABLE', key.child, key));
  }
  for (const { key, from, to } of findReferences(model, data)) {
    if (!also.has(to) || doomed.has(from)) continue;
    (also.has(from) ? mayRefuse : mustRefuse).push(reason('DELETED_REFERENCE', key.child, key));
  }
  const gone = new Set([...doomed, ...also]);
  const deletedOfOthers = also.size;
  return { mustRefuse, mayRefuse, ownership, deletedOfOthers, ...applyTo(data, gone, cleared) };
}

interface Clearing {
  readonly table: string;
  readonly columns: Set<string>;
  readonly references: number;
}

const reason = (kind: Reason['kind'], table: string, key?: ForeignKey): Reason => ({
  kind,
  table,
  ...(key === undefined ? {} : { foreignKey: key.name }),
});

function applyTo(
  data: Data,
  gone: ReadonlySet<Row>,
  cleared: ReadonlyMap<Row, Clearing>,
): Pick<ExpectedPurge, 'rows' | 'deleted' | 'cleared'> {
  const after = (row: Row): Row => {
    const columns = cleared.get(row)?.columns ?? [];
    return { ...row, ...Object.fromEntries([...columns].map((column) => [column, null])) };
  };
  const rows = new Map<string, readonly Row[]>();
  const deleted = new Map<string, readonly Row[]>();
  for (const [table, all] of data) {
    const lost = all.filter((row) => gone.has(row));
    if (lost.length > 0) deleted.set(table, lost);
    rows.set(table, all.filter((row) => !gone.has(row)).map(after));
  }
  return {
    rows,
    deleted,
    cleared: [...cleared].map(([before, { table, columns, references }]) => ({
      table,
      columns: [...columns],
      references,
      before,
      after: after(before),
    })),
  };
}

/** Finds whose each row is: the first way for which it has values decides. */
class OwnerOf {
  readonly #data: Data;
  readonly #ownership: Ownership;
  readonly #known = new Map<Row, string | null>();

  constructor(data: Data, ownership: Ownership) {
    this.#data = data;
    this.#ownership = ownership;
  }

  /** Key of the tenant; null: nobody's. */
  find(table: string, row: Row): string | null {
    if (table === TENANT_TABLE) return row[TENANT_KEY] ?? null;
    const known = this.#known.get(row);
    if (known !== undefined) return known;
    // Rows that lead back to themselves lead to no tenant.
    this.#known.set(row, null);
    const owner = this.#ask(table, row);
    this.#known.set(row, owner);
    return owner;
  }

  #ask(table: string, row: Row): string | null {
    for (const way of this.#ownership.ways.get(table) ?? []) {
      if (way.kind === 'column') {
        const value = row[way.column];
        if (value !== undefined && value !== null) return value;
        continue;
      }
      const parent = referredRow(this.#data, way, row);
      // A carried way need not be a whole key: what it names may never have been.
      if (parent === 'missing') return null;
      if (parent !== null) return this.find(way.parent, parent);
    }
    return null;
  }
}

interface Reference {
  readonly key: ForeignKey;
  readonly from: Row;
  readonly to: Row;
}

/** @throws Error where a reference dangles: then the case itself is wrong */
const findReferences = (model: Model, data: Data): Reference[] =>
  foreignKeysOf(model).flatMap((key) =>
    rowsOf(data, key.child).flatMap((from) => {
      const to = referredRow(data, key, from);
      if (to === 'missing') throw new Error(`${key.name} dangles: ${JSON.stringify(from)}`);
      return to === null ? [] : [{ key, from, to }];
    }),
  );

/** A foreign key, or the way along one. */
type Join = Pick<ForeignKey, 'columns' | 'parent' | 'referencedColumns'>;

/** Null where the row refers to nothing. */
function referredRow(data: Data, key: Join, row: Row): Row | 'missing' | null {
  const values = fullValues(row, key.columns);
  if (values === null) return null;
  const found = rowsOf(data, key.parent).find((parent) =>
    key.referencedColumns.every((column, index) => parent[column] === values[index]),
  );
  return found ?? 'missing';
}

/** The columns whose NULL ends the reference, or null where there is no such set. */
function clearableColumns(
  model: Model,
  ownership: Ownership,
  key: ForeignKey,
): readonly string[] | null {
  const fixed = fixedColumns(model, ownership, key.child);
  const table = tableOf(model, key.child);
  const columns = key.columns.filter(
    (name) =>
      !fixed.has(name) && table.columns.some((column) => column.name === name && !column.notNull),
  );
  return columns.length >= (key.matchFull ? key.columns.length : 1) ? columns : null;
}
