import {
  type Column,
  type ForeignKey,
  type KeyType,
  type Model,
  type Table,
  TENANT_KEY,
  TENANT_TABLE,
} from './model.ts';
import type { EdgeSeed, Recipe, TableSeed } from './recipe.ts';

/** A model in the making. */
interface Draft {
  readonly name: string;
  /** Undefined for the tenant table. */
  readonly seed?: TableSeed;
  readonly columns: Column[];
  primaryKey: string[] | null;
  readonly uniques: string[][];
  readonly foreignKeys: ForeignKey[];
}

const EDGES_PER_TABLE_MAX = 2;

/** Where edges of the recipe went: the foreign keys made of each, which share their rule. */
export interface BuiltModel {
  readonly model: Model;
  readonly seedOfKey: ReadonlyMap<string, EdgeSeed>;
}

/** Pure: the same model for the same recipe. */
export function buildModel(recipe: Recipe): BuiltModel {
  const tenants = draftTenants(recipe.tenantKeyType);
  const others = recipe.tables.map((seed, index) =>
    draftTable(`t${index + 1}`, seed, recipe.tenantKeyType),
  );
  const seedOfKey = new Map<string, EdgeSeed>();
  for (const [number, edge] of recipe.edges
    .slice(0, EDGES_PER_TABLE_MAX * others.length)
    .entries()) {
    const parent = others[edge.parent % others.length];
    const child = edge.fromTenants ? tenants : others[edge.child % others.length];
    if (parent === undefined || child === undefined) continue;
    const mayBeItsKey = others.indexOf(parent) < others.indexOf(child);
    for (const key of addEdge({ child, parent, edge, number: number + 1, mayBeItsKey })) {
      seedOfKey.set(`${key.child}.${key.name}`, edge);
    }
  }
  for (const draft of others) {
    settlePrimaryKey(draft);
    if (draft.columns.length === 0) draft.columns.push(column('label', 'text', 'label', true));
  }
  const tables = [tenants, ...others].map(toTable);
  return { model: { tenantKeyType: recipe.tenantKeyType, tables }, seedOfKey };
}

function draftTenants(type: KeyType): Draft {
  return {
    name: TENANT_TABLE,
    columns: [
      column(TENANT_KEY, type, 'tenant', true),
      column('slug', 'text', 'tenant-slug', true),
      column('name', 'text', 'label', true),
    ],
    primaryKey: [TENANT_KEY],
    uniques: [['slug']],
    foreignKeys: [],
  };
}

function draftTable(name: string, seed: TableSeed, tenantKeyType: KeyType): Draft {
  const draft: Draft = {
    name,
    seed,
    columns: [],
    primaryKey: null,
    uniques: [],
    foreignKeys: [],
  };
  const { tenant } = seed;
  const hasTenantId = tenant.kind === 'key' || tenant.kind === 'column';
  switch (seed.primaryKey) {
    case 'none':
    case 'link':
      break;
    case 'pair':
      draft.columns.push(column('id', 'integer', 'sequence', true));
      draft.columns.push(column('no', 'integer', 'sequence', true));
      draft.primaryKey = ['id', 'no'];
      break;
    case 'tenant-and-id':
      draft.columns.push(column('id', 'integer', 'sequence', true));
      draft.primaryKey = hasTenantId ? ['tenant_id', 'id'] : ['id'];
      break;
    case 'id':
    case 'parent':
      draft.columns.push(column('id', 'integer', 'sequence', true));
      draft.primaryKey = ['id'];
      break;
    default:
      seed.primaryKey satisfies never;
  }
  if (tenant.kind !== 'none') {
    const isKeyColumn = draft.primaryKey?.includes('tenant_id') ?? false;
    draft.columns.push(
      tenant.kind === 'slug-key'
        ? column('tenant_slug', 'text', 'tenant-slug', !tenant.nullable)
        : column('tenant_id', tenantKeyType, 'tenant', isKeyColumn || !tenant.nullable),
    );
  }
  if (tenant.kind === 'key' || tenant.kind === 'slug-key') {
    const [columns, referencedColumns] =
      tenant.kind === 'key' ? [['tenant_id'], [TENANT_KEY]] : [['tenant_slug'], ['slug']];
    draft.foreignKeys.push({
      name: `${name}_tenant_fkey`,
      child: name,
      columns,
      parent: TENANT_TABLE,
      referencedColumns,
      onDelete: tenant.action,
      setColumns: null,
      matchFull: false,
      checked: tenant.checked,
    });
  }
  if (seed.secondTenantKey && tenant.kind === 'key') {
    draft.columns.push(column(`other_${name}`, tenantKeyType, 'other-tenant', !tenant.nullable));
    draft.foreignKeys.push({
      name: `${name}_other_fkey`,
      child: name,
      columns: [`other_${name}`],
      parent: TENANT_TABLE,
      referencedColumns: [TENANT_KEY],
      onDelete: tenant.action,
      setColumns: null,
      matchFull: false,
      checked: 'at-once',
    });
  }
  // Without a label two rows may be equal in everything.
  if (draft.primaryKey !== null) draft.columns.push(column('label', 'text', 'label', true));
  return draft;
}

function addEdge(options: {
  readonly child: Draft;
  readonly parent: Draft;
  readonly edge: EdgeSeed;
  readonly number: number;
  /** The child's primary key may be the foreign key. */
  readonly mayBeItsKey: boolean;
}): ForeignKey[] {
  const { child, parent, edge, number } = options;
  const shared = edge.withTenant && has(child, 'tenant_id') && has(parent, 'tenant_id');
  const target = targetColumns(parent, edge, shared);
  const referencedColumns = edge.reversed ? target.toReversed() : target;
  const isItsKey = options.mayBeItsKey && becomesPrimaryKey(child, referencedColumns);
  const own = referencedColumns.filter((name) => !(shared && name === 'tenant_id'));
  const columns = referencedColumns.map((referenced) => {
    if (shared && referenced === 'tenant_id') return 'tenant_id';
    if (isItsKey) return 'id';
    const isFirst = referenced === own[0];
    const notNull = edge.nulls === 'never' || (edge.nulls === 'half' && isFirst && own.length > 1);
    const name = `r${number}_${referenced}`;
    const type = parent.columns.find((one) => one.name === referenced)?.type ?? 'integer';
    const fallback =
      edge.action === 'SET DEFAULT' && type === 'integer' && edge.listed ? '1' : null;
    child.columns.push({ name, type, notNull, default: fallback, role: 'reference' });
    return name;
  });
  if (isItsKey) makeReference(child, 'id');
  const key: ForeignKey = {
    name: `${child.name}_r${number}_fkey`,
    child: child.name,
    columns,
    parent: parent.name,
    referencedColumns,
    onDelete: edge.action,
    setColumns: edge.listed && edge.action === 'SET NULL' ? listedColumns(child, columns) : null,
    // A shared tenant_id that one key wants NULL and another does not has no answer.
    matchFull: edge.matchFull && !shared,
    checked: edge.checked,
  };
  const keys = edge.twice ? [key, { ...key, name: `${key.name}_again` }] : [key];
  child.foreignKeys.push(...keys);
  return keys;
}

/** The unique columns of the parent that the edge refers to; adds a constraint where it needs one. */
function targetColumns(parent: Draft, edge: EdgeSeed, shared: boolean): readonly string[] {
  if (edge.viaUnique || parent.primaryKey === null) {
    if (!has(parent, 'code')) {
      parent.columns.push(column('code', 'integer', 'sequence', true));
      parent.uniques.push(['code']);
    }
    return ['code'];
  }
  if (!shared || parent.primaryKey.includes('tenant_id')) return parent.primaryKey;
  const columns = ['tenant_id', ...parent.primaryKey];
  if (!parent.uniques.some((unique) => unique.join() === columns.join())) {
    parent.uniques.push(columns);
  }
  return columns;
}

const becomesPrimaryKey = (child: Draft, referencedColumns: readonly string[]): boolean =>
  child.seed?.primaryKey === 'parent' &&
  referencedColumns.length === 1 &&
  child.columns.some(({ name, role }) => name === 'id' && role === 'sequence');

function makeReference(draft: Draft, name: string): void {
  const at = draft.columns.findIndex((one) => one.name === name);
  const found = draft.columns[at];
  if (found !== undefined) draft.columns[at] = { ...found, role: 'reference' };
}

/** Of the key's columns the one that may be NULL, where there are others. */
function listedColumns(child: Draft, columns: readonly string[]): readonly string[] | null {
  const nullable = columns.filter((name) =>
    child.columns.some((c) => c.name === name && !c.notNull),
  );
  const own = nullable.filter((name) => name !== 'tenant_id');
  return own.length === 1 && columns.length > 1 ? own : null;
}

/** A link table's primary key is made of its first two mandatory references. */
function settlePrimaryKey(draft: Draft): void {
  if (draft.seed?.primaryKey !== 'link') return;
  const mandatory = draft.foreignKeys.filter(
    ({ columns, name }) => !name.endsWith('_again') && columns.every((c) => isNotNull(draft, c)),
  );
  const columns = new Set(mandatory.slice(0, 2).flatMap((key) => key.columns));
  if (mandatory.length >= 2) draft.primaryKey = [...columns];
}

const isNotNull = (draft: Draft, name: string): boolean =>
  draft.columns.some((one) => one.name === name && one.notNull);

const has = (draft: Draft, name: string): boolean => draft.columns.some((one) => one.name === name);

const column = (name: string, type: KeyType, role: Column['role'], notNull: boolean): Column => ({
  name,
  type,
  notNull,
  default: null,
  role,
});

const toTable = ({ name, columns, primaryKey, uniques, foreignKeys }: Draft): Table => ({
  name,
  columns,
  primaryKey,
  uniques,
  foreignKeys,
});
