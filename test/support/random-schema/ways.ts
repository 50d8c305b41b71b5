import {
  type ForeignKey,
  isMandatory,
  type KeyRule,
  type Model,
  qualified,
  ruleName,
  type Settings,
  type Table,
  TENANT_KEY,
  TENANT_TABLE,
} from './model.ts';

/** How rows of a table may reach the tenant. */
export type Way = ColumnWay | KeyWay;

interface AnyWay {
  /** 0 configured, 1 key to the tenant table, 2 tenant column, 3 key to an owned table. */
  readonly rank: 0 | 1 | 2 | 3;
  readonly columns: readonly string[];
  /** The table's own columns may be NULL: then the next way decides. */
  readonly nullable: boolean;
}

export interface ColumnWay extends AnyWay {
  readonly kind: 'column';
  readonly column: string;
}

export interface KeyWay extends AnyWay {
  readonly kind: 'key';
  readonly parent: string;
  readonly referencedColumns: readonly string[];
}

/** Every way that the table might have, whether or not it leads to the tenant in the end. Pure. */
export function candidateWays(model: Model, settings: Settings, table: Table): Way[] {
  const ways: Way[] = [];
  const ownedBy = settings.tables[qualified(table.name)]?.ownedBy;
  for (const key of table.foreignKeys) {
    const rule = ruleOf(settings, key);
    const mandatory = isMandatory(table, key.columns);
    const isConfigured = ownedBy === undefined ? rule === 'own' : sameColumns(ownedBy, key.columns);
    const owns =
      !isReferenceOnly(key) &&
      key.parent !== table.name &&
      (isConfigured ||
        (rule === undefined &&
          (key.parent === TENANT_TABLE || mandatory || key.onDelete === 'CASCADE')));
    if (!owns) continue;
    const rank = isConfigured ? 0 : key.parent === TENANT_TABLE ? 1 : 3;
    const { parent, referencedColumns, columns } = key;
    ways.push({ kind: 'key', rank, parent, referencedColumns, columns, nullable: !mandatory });
  }
  const names = tenantColumnNames(model, settings);
  for (const column of table.columns) {
    const isConfigured = sameColumns(ownedBy ?? [], [column.name]);
    const hasKey = ways.some(({ columns }) => sameColumns(columns, [column.name]));
    const isNamed = names.has(column.name) && !hasOwnKey(table, column.name);
    if (hasKey || column.type !== model.tenantKeyType || !(isConfigured || isNamed)) continue;
    ways.push({
      kind: 'column',
      rank: isConfigured ? 0 : 2,
      column: column.name,
      columns: [column.name],
      nullable: !column.notNull,
    });
  }
  // What the operator says of a table is all there is to it.
  return ownedBy === undefined ? ways : ways.filter(({ rank }) => rank === 0);
}

/** Names that the operator gave, and those of keys to the tenant table's key that own. */
function tenantColumnNames(model: Model, settings: Settings): Set<string> {
  const names = new Set(settings.tenantColumns);
  for (const key of model.tables.flatMap(({ foreignKeys }) => foreignKeys)) {
    if (key.parent !== TENANT_TABLE || key.child === TENANT_TABLE) continue;
    const [column] = key.columns;
    const [referenced] = key.referencedColumns;
    if (isReferenceOnly(key) || referenced !== TENANT_KEY || column === undefined) continue;
    names.add(column);
  }
  return names;
}

const hasOwnKey = (table: Table, column: string): boolean =>
  table.foreignKeys.some(({ columns }) => sameColumns(columns, [column]));

export const ruleOf = (settings: Settings, key: ForeignKey): KeyRule | undefined =>
  settings.foreignKeys[ruleName(key)];

export const sameColumns = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((column) => right.includes(column));

const isReferenceOnly = ({ onDelete }: ForeignKey): boolean =>
  onDelete === 'SET NULL' || onDelete === 'SET DEFAULT';
