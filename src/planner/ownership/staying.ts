import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { TenantPath } from '../../domain/plan.ts';
import type { PlannedTables } from '../hazards/table-hazards.ts';
import { columnList, tableRule } from '../remedy.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import { columnOf, type SchemaMap } from '../schema-map.ts';
import type { Ownership } from './ownership.ts';

/**
 * The columns that say whose a row is, of a table whose rows stay without them. Those of a foreign
 * key are cleared with what they refer to. `held`: no statement can clear them. Pure.
 */
export function ownerColumns(
  map: SchemaMap,
  path: TenantPath,
): { readonly clearable: readonly string[]; readonly held: readonly string[] } {
  const table = map.byName.get(path.table);
  const keyed = new Set(
    (map.keysFrom.get(path.table) ?? [])
      .filter((key) => key.enforced !== false)
      .flatMap((key) => key.columns),
  );
  const columns = path.ways.flatMap((way) => {
    if (way.kind === 'column') return [way.column];
    return way.kind === 'parent' ? way.columns : [];
  });
  const open = [...new Set(columns)].filter((column) => !keyed.has(column));
  const isHeld = (name: string): boolean => {
    const column = table && columnOf(table, name);
    return column === undefined || column.notNull || column.generated === true;
  };
  return { clearable: open.filter((name) => !isHeld(name)), held: open.filter(isHeld) };
}

/** What keeps the rows of a table from staying as the configuration wants them to. Pure. */
export function findStayingHazards(
  map: SchemaMap,
  rules: SettledRules,
  ownership: Ownership,
  planned: PlannedTables,
): Hazard[] {
  return [...rules.staying].flatMap(([table, { onPurge }]) => {
    const path = ownership.staying.get(table);
    const held = onPurge === 'set-null' && path !== undefined ? ownerColumns(map, path).held : [];
    if (held.length > 0) return [heldColumns(table, held)];
    return planned.cleared.has(table) ? [] : [nothingToChange(table, onPurge)];
  });
}

const heldColumns = (table: TableName, held: readonly string[]): Hazard => ({
  type: 'SET_NULL_OVER_NOT_NULL',
  severity: 'blocks',
  table,
  message: `The configuration lets the rows of ${table} stay without ${columnList(held)}, which no statement can set to NULL (23502).`,
  remedy: `Let it be NULL: ALTER TABLE ${table} ALTER COLUMN ${columnList(held.slice(0, 1))} DROP NOT NULL; or delete the rows: ${tableRule(table, { onPurge: 'delete' })}.`,
});

const nothingToChange = (table: TableName, onPurge: 'set-null' | 'update'): Hazard => ({
  type: 'OWNER_UNCLEAR',
  severity: 'blocks',
  table,
  message: `The configuration wants the tenant's rows of ${table} changed (${onPurge}), but no column and no key of it that could be cleared leads to the tenant.`,
  remedy: `Name its tenant column in purge.config: ${tableRule(table, { ownedBy: ['<column>'] })}; or keep the table: ${tableRule(table, { onPurge: 'keep' })}.`,
});
