import { asTableName } from '../../src/domain/ids.ts';
import {
  deleteSteps,
  deletesOf,
  describePath,
  type Plan,
  type PlanStep,
} from '../../src/domain/plan.ts';
import type {
  Catalogue,
  CatalogueColumn,
  CatalogueForeignKey,
  CatalogueTable,
  DeleteAction,
} from '../../src/planner/catalogue.ts';
import { makePlan } from '../../src/planner/make-plan.ts';
import type { PlanRules } from '../../src/planner/rules.ts';

/**
 * A table of schema public. Columns are words: `id!` is NOT NULL, `code:text` has a type of its own
 * (default uuid). The primary key is `id` where there is one.
 */
export function table(
  relation: string,
  columns: string,
  more: Partial<CatalogueTable> = {},
): CatalogueTable {
  const parsed = columns.split(/\s+/).map(parseColumn);
  return {
    name: asTableName(`public.${relation}`),
    schema: 'public',
    relation,
    kind: 'ordinary',
    columns: parsed,
    primaryKey: parsed.some((column) => column.name === 'id') ? ['id'] : null,
    indexes: [],
    triggers: [],
    rules: [],
    rowSecurityApplies: false,
    missingPrivileges: [],
    replicaIdentityOk: true,
    estimatedRows: 0,
    ...more,
  };
}

const COLUMN = /^(?<name>\w+)(?::(?<type>[^!]+))?(?<bang>!?)$/;

function parseColumn(text: string): CatalogueColumn {
  const { name, type, bang } = COLUMN.exec(text)?.groups ?? {};
  if (name === undefined) throw new Error(`not a column: ${text}`);
  return { name, type: type ?? 'uuid', notNull: bang === '!' };
}

const KEY = /^(?<child>\w+)\((?<columns>[^)]+)\) → (?<parent>\w+)(?:\((?<referenced>[^)]+)\))?$/;

/** `agents(tenant_id) → tenants` or `a(x, y) → b(p, q)`; its name is `public.<child>.<columns>_fkey`. */
export function key(
  text: string,
  onDelete: DeleteAction = 'NO ACTION',
  more: Partial<CatalogueForeignKey> = {},
): CatalogueForeignKey {
  const { child, columns, parent, referenced } = KEY.exec(text)?.groups ?? {};
  if (child === undefined || columns === undefined || parent === undefined) {
    throw new Error(`not a foreign key: ${text}`);
  }
  const names = columns.split(', ');
  return {
    name: `public.${child}.${names.join('_')}_fkey`,
    child: asTableName(`public.${child}`),
    columns: names,
    parent: asTableName(`public.${parent}`),
    referencedColumns: referenced?.split(', ') ?? ['id'],
    onDelete,
    deferrable: false,
    validated: true,
    ...more,
  };
}

/** The tables and keys, with an index on the columns of each key. */
export function catalogue(
  tables: readonly CatalogueTable[],
  foreignKeys: readonly CatalogueForeignKey[],
): Catalogue {
  return {
    role: 'purger',
    tables: tables.map((one) => ({
      ...one,
      indexes: [
        ...one.indexes,
        ...foreignKeys
          .filter((foreignKey) => foreignKey.child === one.name)
          .map(({ columns }) => ({
            name: `${one.relation}_${columns.join('_')}_idx`,
            columns,
            unique: false,
            usable: true,
          })),
      ],
    })),
    foreignKeys,
  };
}

/** Rules of a configuration that says no more than where the tenants are. */
export const rules = (
  more: Partial<Omit<PlanRules, 'tenant'>> & {
    readonly tenant?: Partial<PlanRules['tenant']>;
  } = {},
): PlanRules => ({
  core: [],
  tables: {},
  ...more,
  tenant: {
    table: 'public.tenants',
    key: null,
    label: null,
    testColumn: null,
    columns: [],
    ...more.tenant,
  },
});

/** The tenant table of most tests. */
export const tenants = table('tenants', 'id! name:text!');

export const plan = (
  tables: readonly CatalogueTable[],
  foreignKeys: readonly CatalogueForeignKey[],
  more: Parameters<typeof rules>[0] = {},
): Plan => makePlan(catalogue([tenants, ...tables], foreignKeys), rules(more));

/** Each level as `name: steps`: a delete as its relation, a clear as `relation.columns=NULL`. */
export const levelLines = (from: Plan): string[] =>
  from.levels.map(({ name, steps }) => `${name}: ${steps.map(stepText).join(' ')}`);

const relationOf = (name: string): string => name.replace('public.', '');

function stepText(step: PlanStep): string {
  switch (step.kind) {
    case 'delete':
      return relationOf(step.table);
    case 'clear':
      return `${relationOf(step.table)}.${step.columns.join(',')}=${step.values?.join(',') ?? 'NULL'}`;
    case 'component':
      return `${step.way}(${deletesOf(step)
        .map((member) => relationOf(member.table))
        .join(' ')})`;
    default:
      return step satisfies never;
  }
}

/** How each table's rows are found and what speaks for it, e.g. `tenant_id by foreign-key`. */
export const pathsOf = (from: Plan): Record<string, string> =>
  Object.fromEntries(
    deleteSteps(from).map(({ table: name, path }) => [
      name,
      `${describePath(path)} by ${path.ways.map(({ via }) => via).join(', ')}`,
    ]),
  );

/** Hazards as `type severity table`, e.g. `OWNER_UNCLEAR blocks public.notes`. */
export const hazardLines = (from: Plan): string[] =>
  from.hazards.map(({ type, severity, table: name }) => `${type} ${severity} ${name}`);
