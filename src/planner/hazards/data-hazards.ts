import type { Hazard } from '../../domain/hazard.ts';
import {
  hasCondition,
  type Plan,
  type ReferenceCheck,
  type TenantTable,
} from '../../domain/plan.ts';
import { columnList } from '../remedy.ts';

/** What the rows themselves say about one foreign key, for the tenants of a campaign. */
export type DataFinding = ReferenceFinding | BrokenCheckFinding;

/**
 * `outside`: rows that stay refer to rows that go. `crossing`: rows that go refer to rows of another
 * tenant.
 */
export interface ReferenceFinding {
  readonly kind: 'outside' | 'crossing';
  readonly check: ReferenceCheck;
  /** True where the rows referred to belong to others and go by a `delete` rule. */
  readonly byRule: boolean;
  readonly count: number;
  /** The first ones by key. */
  readonly rows: readonly ReferringRow[];
  /** Columns of the key that a `set-null` rule could clear. */
  readonly clearable: readonly string[];
}

export interface ReferringRow {
  /** Primary key as text, `id = 5`; its address where the table has none. */
  readonly key: string;
  /** Its tenant; null for nobody's, or where only a condition of the operator's could tell. */
  readonly owner: string | null;
  /** Tenant with which the row referred to goes, or whose it is. */
  readonly refersTo: string | null;
}

/** Rows for which a CHECK would be false once their reference is cleared. */
interface BrokenCheckFinding {
  readonly kind: 'breaks-check';
  readonly check: ReferenceCheck;
  readonly constraint: string;
  readonly count: number;
}

/** Findings as hazards, in their order. Pure. */
export const dataHazards = (findings: readonly DataFinding[]): Hazard[] =>
  findings.map((finding) => {
    switch (finding.kind) {
      case 'outside':
        return outsideHazard(finding);
      case 'crossing':
        return crossingHazard(finding);
      case 'breaks-check':
        return brokenCheckHazard(finding);
      default:
        return finding satisfies never;
    }
  });

function outsideHazard(finding: ReferenceFinding): Hazard {
  const { check, count, byRule } = finding;
  const shared = { table: check.child, foreignKey: check.foreignKey, count };
  const rule = byRule ? 'refuse' : check.rule;
  const what = `${referring(count, check)} by ${check.foreignKey} to rows of ${check.parent.table} that are to go`;
  switch (rule) {
    case 'set-null':
      return {
        ...shared,
        type: 'CLEARED_REFERENCE',
        severity: 'info',
        message: `${what}; the configuration sets ${columnList(check.clearColumns)} to NULL there: ${listRows(finding)}.`,
        remedy: 'Nothing to do if this is meant; they are changed, not deleted.',
      };
    case 'delete':
      return {
        ...shared,
        type: 'DELETED_REFERENCE',
        severity: 'info',
        message: `${what}; the configuration has them deleted too: ${listRows(finding)}.`,
        remedy: 'Nothing to do if this is meant; they go although they belong to others.',
      };
    case 'refuse': {
      const action = actionText(check);
      return {
        ...shared,
        type: action === null ? 'OUTSIDE_REFERENCE' : 'ACTION_OUTSIDE_SET',
        severity: 'blocks',
        message: `${what}, from outside the purge; ${action ?? 'PostgreSQL would refuse the delete'}: ${listRows(finding)}.`,
        remedy: outsideRemedy(finding),
      };
    }
    default:
      return rule satisfies never;
  }
}

function actionText({ action }: ReferenceCheck): string | null {
  switch (action) {
    case 'CASCADE':
      return 'ON DELETE CASCADE would delete them silently';
    case 'SET NULL':
    case 'SET DEFAULT':
      return `ON DELETE ${action} would change them silently`;
    case 'NO ACTION':
    case 'RESTRICT':
      return null;
    default:
      return action satisfies never;
  }
}

function outsideRemedy({ check, byRule, clearable }: ReferenceFinding): string {
  if (byRule) {
    return `Delete or move these rows: they refer to rows of others that go by a "delete" rule for ${check.parent.table}, and no rule reaches them; or choose another rule for it.`;
  }
  const rule = (name: string): string => `"foreignKeys": { ${quoted(check)}: "${name}" }`;
  const repair = 'Clear or move these references by hand';
  // Of ranges, and of one partition's key, no rule is taken.
  const isUnruly = check.period || check.childRelation !== check.child;
  const isTenant = check.childPath?.ways.some(({ via }) => via === 'tenant') ?? false;
  const choices = isUnruly
    ? []
    : [
        ...(clearable.length > 0
          ? [`${rule('set-null')} sets ${columnList(clearable)} to NULL`]
          : []),
        // Rows of the tenant table are tenants.
        ...(isTenant
          ? []
          : [`${rule('delete')} deletes the rows, unless "tables" keeps ${check.child}`]),
        ...(check.childPath === null && check.action === 'SET NULL'
          ? [`${rule('own')} makes each row the tenant's to whose row it refers`]
          : []),
      ];
  return choices.length === 0
    ? `${repair}.`
    : `${repair}, or say in purge.config what becomes of them: ${choices.join('; ')}.`;
}

const quoted = (check: ReferenceCheck): string => JSON.stringify(check.foreignKey);

const crossingHazard = (finding: ReferenceFinding): Hazard => ({
  type: 'CROSS_TENANT_REFERENCE',
  severity: 'info',
  table: finding.check.child,
  foreignKey: finding.check.foreignKey,
  count: finding.count,
  message: `${referring(finding.count, finding.check)} by ${finding.check.foreignKey} to rows of ${finding.check.parent.table} of another tenant, which stay as they are: ${listRows(finding)}.`,
  remedy: 'Nothing to do for the purge; find out how a row came to refer to another tenant.',
});

const brokenCheckHazard = ({ check, constraint, count }: BrokenCheckFinding): Hazard => ({
  type: 'CLEAR_BREAKS_CHECK',
  severity: 'blocks',
  table: check.child,
  foreignKey: check.foreignKey,
  count,
  message: `${rowsOf(count, check)} would break CHECK ${constraint} (23514) once the configuration sets ${columnList(check.clearColumns)} to NULL.`,
  remedy: `Have these rows deleted, "foreignKeys": { ${quoted(check)}: "delete" }, or change the CHECK.`,
});

const referring = (count: number, check: ReferenceCheck): string =>
  `${rowsOf(count, check)} ${count === 1 ? 'refers' : 'refer'}`;

const rowsOf = (count: number, { child }: ReferenceCheck): string =>
  `${count} ${count === 1 ? 'row' : 'rows'} of ${child}`;

function listRows({ count, rows, check }: ReferenceFinding): string {
  const isUntold = check.childPath !== null && hasCondition(check.childPath);
  const shown = rows.map(({ key, owner, refersTo }) => {
    const sides = [
      ...(owner === null && isUntold ? [] : [`of ${tenantOf(owner)}`]),
      ...(refersTo === null ? [] : [`to ${tenantOf(refersTo)}`]),
    ];
    return sides.length === 0 ? key : `${key} (${sides.join(', ')})`;
  });
  const more = count - rows.length;
  return `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

const tenantOf = (owner: string | null): string => (owner === null ? 'nobody' : `tenant ${owner}`);

/** Of many descendants so many are named. */
const DESCENDANTS_SHOWN_MAX = 10;

/** Tenants below one that is to go and that would stay. Pure. */
export function descendantHazards(
  plan: { readonly tenant: TenantTable; readonly tree: Plan['tree'] },
  descendants: readonly {
    readonly tenant: { readonly id: string; readonly label: string };
    readonly below: { readonly id: string };
  }[],
): Hazard[] {
  const [key] = plan.tree;
  if (descendants.length === 0 || key === undefined) return [];
  const shown = descendants
    .slice(0, DESCENDANTS_SHOWN_MAX)
    .map(({ tenant, below }) => `${tenant.id} (${tenant.label}) below ${below.id}`);
  const more = descendants.length - shown.length;
  return [
    {
      type: 'TENANT_HAS_DESCENDANTS',
      severity: 'blocks',
      table: plan.tenant.table,
      foreignKey: key.foreignKey,
      count: descendants.length,
      message: `Tenants below one that is to go would stay: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`,
      remedy: `Purge them too with enqueue --with-descendants; or let them lose their ancestor: "foreignKeys": { ${JSON.stringify(key.foreignKey)}: "set-null" }.`,
    },
  ];
}
