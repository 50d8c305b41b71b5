import type { Hazard } from '../../domain/hazard.ts';
import { quoteIdentifier } from '../../domain/identifier.ts';
import type { TableName } from '../../domain/ids.ts';
import { deletesOf, type PlanLevel } from '../../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable, CatalogueTrigger } from '../catalogue.ts';
import { tableRule } from '../remedy.ts';
import type { SchemaMap } from '../schema-map.ts';

/** What a purge does with each table it touches. */
export interface PlannedTables {
  /** Deleted from. */
  readonly deleted: ReadonlySet<TableName>;
  /** Updated by a ClearStep, or by the mark of a tenant that is to go. */
  readonly cleared: ReadonlySet<TableName>;
  /** Only looked at: their rows may refer to rows that go, and a key could change them by itself. */
  readonly watched: ReadonlySet<TableName>;
}

export function plannedTables(
  levels: readonly PlanLevel[],
  foreignKeys: readonly CatalogueForeignKey[],
  /** The tenant table, where its row is marked before anything goes. */
  marked: TableName | null,
): PlannedTables {
  const steps = levels.flatMap((level) => level.steps);
  const deletes = steps.flatMap(deletesOf);
  const deleted = new Set(deletes.map((step) => step.table));
  return {
    deleted,
    cleared: new Set([
      ...steps.filter((step) => step.kind === 'clear').map((step) => step.table),
      ...(marked === null ? [] : [marked]),
    ]),
    watched: new Set(
      foreignKeys
        .filter((key) => deleted.has(key.parent) && key.enforced !== false)
        .map((key) => key.child)
        .filter((table) => !deleted.has(table)),
    ),
  };
}

/** What about the planned tables themselves stands in the way of a purge, or fires in it. Pure. */
export function findTableHazards(map: SchemaMap, planned: PlannedTables): Hazard[] {
  const checks = [
    unsupportedTable,
    rowSecurity,
    missingPrivileges,
    deleteRules,
    replicaIdentity,
    triggers,
    noPrimaryKey,
    publications,
    materializedViews,
  ];
  return map.tables.flatMap((table) => {
    const isTouched =
      planned.deleted.has(table.name) ||
      planned.cleared.has(table.name) ||
      planned.watched.has(table.name);
    return isTouched ? checks.flatMap((check) => check(table, planned, map)) : [];
  });
}

const isWritten = (table: TableName, { deleted, cleared }: PlannedTables): boolean =>
  deleted.has(table) || cleared.has(table);

type TableCheck = (table: CatalogueTable, planned: PlannedTables, map: SchemaMap) => Hazard[];

const unsupportedTable: TableCheck = ({ name, kind }, planned) => {
  if (!isWritten(name, planned) || kind !== 'foreign') return [];
  return [
    {
      type: 'UNSUPPORTED_TABLE',
      severity: 'blocks',
      table: name,
      message: `${name} holds rows of tenants and is a foreign table, or has one among its partitions: its rows lie in another server, where no batch and no ledger of ours reaches.`,
      remedy: `Purge it by a way of your own and write in purge.config: ${tableRule(name, { onPurge: 'keep' })}.`,
    },
  ];
};

const noPrimaryKey: TableCheck = ({ name, primaryKey }, { deleted }) =>
  primaryKey !== null || !deleted.has(name)
    ? []
    : [
        {
          type: 'NO_PRIMARY_KEY',
          severity: 'info',
          table: name,
          message: `${name} has no primary key: its rows are deleted by their address, and a message can name one only by that.`,
          remedy: `Nothing to do for a purge; ALTER TABLE ${name} ADD PRIMARY KEY (…) makes its rows nameable.`,
        },
      ];

const publications: TableCheck = (table, planned) =>
  table.publications === undefined || !isWritten(table.name, planned)
    ? []
    : table.publications.map((publication) => ({
        type: 'PUBLICATION' as const,
        severity: 'info' as const,
        table: table.name,
        message: `The publication ${publication} sends what a purge changes in ${table.name} to its subscribers: the rows go there too.`,
        remedy:
          'Make sure that the subscribers want that; an audit copy elsewhere would be emptied.',
      }));

const materializedViews: TableCheck = (table, planned) =>
  table.materializedViews === undefined || !isWritten(table.name, planned)
    ? []
    : table.materializedViews.map((view) => ({
        type: 'MATERIALIZED_VIEW' as const,
        severity: 'info' as const,
        table: table.name,
        message: `The materialized view ${view} reads ${table.name}: it holds what was there until it is refreshed.`,
        remedy: `After the purge run: REFRESH MATERIALIZED VIEW ${view};`,
      }));

const rowSecurity: TableCheck = ({ name, rowSecurityApplies }, _planned, { role }) =>
  rowSecurityApplies
    ? [
        {
          type: 'ROW_SECURITY',
          severity: 'blocks',
          table: name,
          message: `Row security of ${name} applies to the connected role: rows would be hidden from the purge and pass for gone.`,
          remedy: `Connect as a role that it does not apply to, or run as a superuser: ALTER ROLE ${quoteRole(role)} BYPASSRLS;`,
        },
      ]
    : [];

const missingPrivileges: TableCheck = (table, { deleted, cleared }, { role }) => {
  const needed = ['USAGE', 'SELECT'];
  if (deleted.has(table.name)) needed.push('DELETE');
  if (cleared.has(table.name)) needed.push('UPDATE');
  const missing = needed.filter((privilege) => table.missingPrivileges.includes(privilege));
  if (missing.length === 0) return [];
  const onTable = missing.filter((privilege) => privilege !== 'USAGE');
  const grants = [
    ...(missing.includes('USAGE')
      ? [`GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schema)} TO ${quoteRole(role)};`]
      : []),
    ...(onTable.length > 0
      ? [`GRANT ${onTable.join(', ')} ON ${table.name} TO ${quoteRole(role)};`]
      : []),
  ];
  const partitions = table.kind === 'partitioned' ? ' The same on each of its partitions.' : '';
  return [
    {
      type: 'MISSING_PRIVILEGE',
      severity: 'blocks',
      table: table.name,
      message: `The role ${role} lacks ${missing.join(', ')} on ${table.name}.`,
      remedy: `Run as the owner: ${grants.join(' ')}${partitions}`,
    },
  ];
};

const deleteRules: TableCheck = (table, planned) =>
  rulesThatFire(table, planned).map(({ rule, event }) => ({
    type: 'DELETE_RULE' as const,
    severity: 'blocks' as const,
    table: table.name,
    message: `The rule ${rule} rewrites ${event} on ${table.name}: what a batch does is not what it says.`,
    remedy: `Run: DROP RULE ${quoteIdentifier(rule)} ON ${table.name}; and put a trigger in its place.`,
  }));

/** Rules that rewrite what a purge does, sorted: on delete, and on update where a ClearStep runs. */
export const rulesThatFire = (
  { name, rules, updateRules }: CatalogueTable,
  { deleted, cleared }: PlannedTables,
): { readonly rule: string; readonly event: 'DELETE' | 'UPDATE' }[] => [
  ...(deleted.has(name)
    ? [...rules].sort().map((rule) => ({ rule, event: 'DELETE' as const }))
    : []),
  ...(cleared.has(name)
    ? [...(updateRules ?? [])].sort().map((rule) => ({ rule, event: 'UPDATE' as const }))
    : []),
];

const replicaIdentity: TableCheck = ({ name, replicaIdentityOk }, planned) =>
  replicaIdentityOk || !isWritten(name, planned)
    ? []
    : [
        {
          type: 'NO_REPLICA_IDENTITY',
          severity: 'blocks',
          table: name,
          message: `${name} is published and has no replica identity, or not one that suits the publication's row filter or column list: PostgreSQL refuses every DELETE and UPDATE on it.`,
          remedy: `Give it a primary key that is not deferrable, or run: ALTER TABLE ${name} REPLICA IDENTITY FULL; a column list must name all of it.`,
        },
      ];

const triggers: TableCheck = (table, planned) =>
  isWritten(table.name, planned)
    ? triggersThatFire(table, planned).map((trigger) =>
        isBeforeDelete(trigger) && planned.deleted.has(table.name)
          ? beforeDelete(table.name, trigger)
          : firing(table.name, trigger),
      )
    : [];

/** Triggers that a purge fires, sorted: on delete, and on update where a ClearStep runs. */
export function triggersThatFire(
  table: CatalogueTable,
  planned: PlannedTables,
): readonly CatalogueTrigger[] {
  const [isDeleted, isUpdated] = [planned.deleted.has(table.name), planned.cleared.has(table.name)];
  return table.triggers
    .filter(
      ({ events }) =>
        (isDeleted && events.includes('delete')) || (isUpdated && events.includes('update')),
    )
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

const isBeforeDelete = (trigger: CatalogueTrigger): boolean =>
  trigger.timing === 'before' && trigger.forEachRow && trigger.events.includes('delete');

const beforeDelete = (table: TableName, trigger: CatalogueTrigger): Hazard => ({
  type: 'BEFORE_DELETE_TRIGGER',
  severity: 'allow',
  table,
  message: `The trigger ${trigger.name} runs before each row of ${table} is deleted, and may keep the row or refuse.`,
  remedy: `Read it; accept it with --allow BEFORE_DELETE_TRIGGER, or run: ALTER TABLE ${table} DISABLE TRIGGER ${quoteIdentifier(trigger.name)};`,
});

const firing = (table: TableName, trigger: CatalogueTrigger): Hazard => ({
  type: 'TRIGGER',
  severity: 'info',
  table,
  message: `The trigger ${trigger.name} (${trigger.timing} ${trigger.events.join(' or ')}, each ${trigger.forEachRow ? 'row' : 'statement'}) fires on ${table} during a purge.`,
  remedy: `Nothing to do where that is meant; otherwise run: ALTER TABLE ${table} DISABLE TRIGGER ${quoteIdentifier(trigger.name)};`,
});

/** The placeholder of an unknown role stays as it is. */
const quoteRole = (role: string): string => (role.startsWith('<') ? role : quoteIdentifier(role));
