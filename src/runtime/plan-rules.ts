import type { Config } from '../config/config.ts';
import type { QuiesceRule } from '../domain/quiesce.ts';
import type { OwnerRule, PlanRules } from '../planner/rules.ts';

/** What the configuration says of the schema, in the planner's words. */
export const rulesOf = (config: Config): PlanRules => ({
  tenant: {
    table: config.tenant.table,
    key: config.tenant.key ?? null,
    label: config.tenant.label ?? null,
    testColumn: config.tenant.testColumn ?? null,
    columns: config.tenant.columns,
  },
  core: config.levels.core,
  tables: Object.fromEntries(
    Object.entries(config.tables).map(([table, { ownedBy, where, onPurge, set }]) => [
      table,
      {
        ...(ownedBy === undefined ? {} : { ownedBy: ownedBy.map(ownerRuleOf) }),
        ...(where === undefined ? {} : { where }),
        ...(onPurge === undefined ? {} : { onPurge }),
        ...(set === undefined ? {} : { set }),
      },
    ]),
  ),
  foreignKeys: config.foreignKeys,
  follow: config.follow,
  quiesce: quiesceRuleOf(config.quiesce),
  hold: config.hold?.column ?? null,
});

/** The configuration's schema admits one pair or the other. */
function quiesceRuleOf(configured: Config['quiesce']): QuiesceRule | null {
  const { column, value, sql, undo } = configured ?? {};
  if (column !== undefined && value !== undefined) return { kind: 'column', column, value };
  return sql !== undefined && undo !== undefined ? { kind: 'sql', sql, undo } : null;
}

type ConfiguredOwner = NonNullable<Config['tables'][string]['ownedBy']>[number];

const ownerRuleOf = (owner: ConfiguredOwner): string | OwnerRule =>
  typeof owner === 'string'
    ? owner
    : {
        column: owner.column,
        when: owner.when,
        ...(owner.to === undefined ? {} : { to: owner.to }),
      };
