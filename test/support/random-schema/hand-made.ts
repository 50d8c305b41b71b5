import type { Column, Data, ForeignKey, Model, RandomCase, Row, Settings, Table } from './model.ts';

/**
 * A case in a few lines. Tables as `notes: id! tenant_id a_id!` (`!`: NOT NULL; a column `id` is the
 * primary key), keys as `notes.a_id > agents.id cascade`, rows as `notes: 1 A 7 | 2 - 7` in the order
 * of the columns (`-`: NULL). Everything is text; `tenants` with A and B comes of itself.
 */
export function handMade(options: {
  readonly tables: readonly string[];
  readonly keys: readonly string[];
  readonly rows: readonly string[];
  readonly settings?: Partial<Settings>;
}): RandomCase {
  const lines = ['tenants: id!', ...options.tables];
  const foreignKeys = options.keys.map(parseKey);
  const tables = lines.map((line) => parseTable(line, foreignKeys));
  const model: Model = { tenantKeyType: 'text', tables };
  return {
    model,
    data: parseRows(model, ['tenants: A | B', ...options.rows]),
    settings: { tenantColumns: [], tables: {}, foreignKeys: {}, ...options.settings },
    tenant: 'A',
    batching: { smallPurgeRows: 0, maxRows: 1 },
  };
}

function parseTable(line: string, foreignKeys: readonly ForeignKey[]): Table {
  const [name = '', columns = ''] = line.split(': ');
  return {
    name,
    columns: columns.split(' ').map(
      (text): Column => ({
        name: text.replace('!', ''),
        type: 'text',
        notNull: text.endsWith('!'),
        default: null,
        role: 'label',
      }),
    ),
    primaryKey: columns.startsWith('id!') ? ['id'] : null,
    uniques: [],
    foreignKeys: foreignKeys.filter((key) => key.child === name),
  };
}

const KEY =
  /^(?<child>\w+)\.(?<column>\w+) > (?<parent>\w+)\.(?<referenced>\w+)(?: (?<action>.+))?$/;

function parseKey(text: string): ForeignKey {
  const { child, column, parent, referenced, action } = KEY.exec(text)?.groups ?? {};
  if (child === undefined || column === undefined || parent === undefined) {
    throw new Error(`not a key: ${text}`);
  }
  return {
    name: `${child}_${column}_fkey`,
    child,
    columns: [column],
    parent,
    referencedColumns: [referenced ?? 'id'],
    onDelete: (action?.toUpperCase() ?? 'NO ACTION') as ForeignKey['onDelete'],
    setColumns: null,
    matchFull: false,
    checked: 'at-once',
  };
}

function parseRows(model: Model, lines: readonly string[]): Data {
  const rows = new Map<string, readonly Row[]>(model.tables.map(({ name }) => [name, []]));
  for (const line of lines) {
    const [name = '', values = ''] = line.split(': ');
    const columns = model.tables.find((table) => table.name === name)?.columns ?? [];
    const made = values.split(' | ').map((text) => {
      const parts = text.split(' ');
      return Object.fromEntries(
        columns.map((column, index) => [
          column.name,
          parts[index] === '-' ? null : (parts[index] ?? null),
        ]),
      );
    });
    rows.set(name, made);
  }
  return rows;
}
