import type { LooseKey, TenantRows } from '../domain/diagnosis.ts';
import type { TableName } from '../domain/ids.ts';
import type { Settlement } from './settlement.ts';

export function looseTenantColumns(settlement: Settlement): TenantRows[] {
  return settlement.tenantTables().flatMap((table) => {
    const tenantColumn = settlement.tenantColumns.get(table.name);
    if (tenantColumn === undefined || isVouchedFor(settlement, table.name, tenantColumn)) return [];
    return settlement.isReadable(table) ? [settlement.ownRows(table, tenantColumn)] : [];
  });
}

/** Those of tables with tenants' rows; a tenant column's own key is looked at as such already. */
export function looseKeys(settlement: Settlement): LooseKey[] {
  return settlement.map.foreignKeys.flatMap((key) => {
    const isLoose = !key.validated || key.enforced === false;
    const child = settlement.map.byName.get(key.child);
    const parent = settlement.map.byName.get(key.parent);
    const isOwned =
      settlement.tenantColumns.has(key.child) || settlement.tenantColumns.has(key.parent);
    if (!isLoose || !isOwned || key.period === true) return [];
    if (key.parent === settlement.tenant.name || child === undefined || parent === undefined)
      return [];
    if (!settlement.isReadable(child) || !settlement.isReadable(parent)) return [];
    const { name, columns, referencedColumns } = key;
    return [{ name, child: key.child, columns, parent: key.parent, referencedColumns }];
  });
}

function isVouchedFor(settlement: Settlement, table: TableName, column: string): boolean {
  return (settlement.map.keysFrom.get(table) ?? []).some(
    (key) =>
      key.parent === settlement.tenant.name &&
      key.columns.length === 1 &&
      key.columns[0] === column &&
      key.childPartition === undefined &&
      key.validated &&
      key.enforced !== false,
  );
}
