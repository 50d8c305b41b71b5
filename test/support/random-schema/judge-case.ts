import type { Hazard } from '../../../src/domain/hazard.ts';
import type { DeleteStep, Plan } from '../../../src/domain/plan.ts';
import { deleteSteps } from '../../../src/domain/plan.ts';
import type { CaseResult, LedgerBatch, RefusedCase, RunCase } from './case-world.ts';
import { toLines } from './database-rows.ts';
import { type ExpectedPurge, expectPurge, type Reason } from './expected-purge.ts';
import { type Model, qualified, type RandomCase } from './model.ts';

import { unexplainedChanges } from './watch-changes.ts';
import type { Way } from './ways.ts';

/** What was expected of a case, and where the product differs from it, in words. */
export interface Judgement {
  readonly expected: ExpectedPurge;
  readonly problems: readonly string[];
}

/** Holds what the product did with a case against what the rules say of it. Pure. */
export function judgeCase(found: RandomCase, result: CaseResult): Judgement {
  const ruled = expectPurge(found);
  // Where the rules leave the order of fallbacks open, the plan's own is as good as any.
  const open = ruled.ownership.open;
  const expected =
    open.size === 0 ? ruled : expectPurge(found, { ways: waysOfPlan(result.plan, open) });
  const problems =
    result.kind === 'refused'
      ? problemsOfRefusal(expected, result)
      : problemsOfRun(found.model, expected, result);
  return { expected, problems };
}

function problemsOfRefusal(expected: ExpectedPurge, result: RefusedCase): string[] {
  const { mustRefuse, mayRefuse } = expected;
  const known = [...mustRefuse, ...mayRefuse];
  const blocking = result.hazards.filter(({ severity }) => severity === 'blocks');
  if (blocking.length === 0) return [`refused without a hazard: ${result.obstacles.join('\n')}`];
  const isOwnerKnown = !known.some(({ kind }) => kind.startsWith('OWNER_'));
  return [
    ...blocking
      .filter((hazard) => !known.some((reason) => explains(reason, hazard)))
      // Whose rows are whose is a matter of opinion where an owner is not clear.
      .filter((hazard) => isOwnerKnown || hazard.type.startsWith('OWNER_'))
      .map(({ type, message }) => `refused without a reason: ${type} ${message}`),
    ...mustRefuse
      .filter(({ kind }) => isOwnerKnown || kind.startsWith('OWNER_'))
      .filter((reason) => !blocking.some((hazard) => explains(reason, hazard)))
      .map((reason) => `refused without saying: ${JSON.stringify(reason)}`),
  ];
}

/** True where the hazard says what the reason says. */
function explains(reason: Reason, hazard: Hazard): boolean {
  const isOfKey =
    reason.foreignKey !== undefined &&
    hazard.foreignKey === `${qualified(reason.table)}.${reason.foreignKey}`;
  switch (hazard.type) {
    case 'OWNER_AMBIGUOUS':
    case 'OWNER_UNCLEAR':
      return reason.kind === hazard.type && hazard.table === qualified(reason.table);
    case 'OUTSIDE_REFERENCE':
    case 'ACTION_OUTSIDE_SET':
      return isOfKey;
    case 'SET_NULL_OVER_NOT_NULL':
      return isOfKey && reason.kind === 'NOT_CLEARABLE';
    default:
      return false;
  }
}

function problemsOfRun(model: Model, expected: ExpectedPurge, result: RunCase): string[] {
  const { mustRefuse } = expected;
  if (mustRefuse.length > 0) return mustRefuse.map((one) => `not refused: ${JSON.stringify(one)}`);
  const { outcome } = result;
  if (outcome.kind !== 'completed') {
    const error = 'error' in outcome ? outcome.error : null;
    return [`the purge ended as ${outcome.kind}: ${JSON.stringify(error)}`];
  }
  const residue = outcome.report.residue.map(({ table, count }) => `residue: ${count} of ${table}`);
  return [
    ...residue,
    ...differentRows(model, expected, result),
    ...differentCounts(expected, result),
    ...(result.watched ? unexplainedChanges(expected, result.changes) : []),
  ];
}

function differentRows(model: Model, expected: ExpectedPurge, { rows }: RunCase): string[] {
  const wanted = toLines(model, expected.rows);
  return model.tables.flatMap(({ name }) => [
    ...without(wanted[name] ?? [], rows[name] ?? []).map((row) => `missing in ${name}: ${row}`),
    ...without(rows[name] ?? [], wanted[name] ?? []).map((row) => `left in ${name}: ${row}`),
  ]);
}

/** Lines of `left` that have no partner in `right`; equal lines count each. */
function without(left: readonly string[], right: readonly string[]): string[] {
  const others = [...right];
  return left.filter((line) => {
    const at = others.indexOf(line);
    if (at >= 0) others.splice(at, 1);
    return at < 0;
  });
}

function differentCounts(expected: ExpectedPurge, { batches }: RunCase): string[] {
  const problems: string[] = [];
  const tables = new Set([...expected.deleted.keys(), ...batches.map(({ table }) => table)]);
  for (const table of tables) {
    const deleted = rowsIn(batches, 'delete', table);
    const wanted = expected.deleted.get(table)?.length ?? 0;
    if (deleted !== wanted) {
      problems.push(`the ledger has ${deleted} rows of ${table} deleted, not ${wanted}`);
    }
    const cleared = rowsIn(batches, 'clear', table);
    const others = expected.cleared.filter((one) => one.table === table);
    const references = others.reduce((sum, one) => sum + one.references, 0);
    // A row may be cleared once for several keys; the tenant's own may be cleared before they go.
    if (cleared < others.length || (cleared > references && wanted === 0)) {
      problems.push(
        `the ledger has ${cleared} rows of ${table} cleared, not ${others.length} (${references} references)`,
      );
    }
  }
  return problems;
}

const rowsIn = (batches: readonly LedgerBatch[], kind: LedgerBatch['kind'], table: string) =>
  batches
    .filter((batch) => batch.kind === kind && batch.table === table)
    .reduce((sum, { rows }) => sum + rows, 0);

/** The ways by which the plan finds the rows of these tables. */
function waysOfPlan(plan: Plan, tables: ReadonlySet<string>): ReadonlyMap<string, readonly Way[]> {
  const steps = deleteSteps(plan).filter(({ table }) => tables.has(nameOf(table)));
  return new Map(steps.map((step) => [nameOf(step.table), step.path.ways.map(toWay)]));
}

const nameOf = (table: string): string => table.replace('public.', '');

function toWay(way: DeleteStep['path']['ways'][number]): Way {
  const shared = { rank: 0, nullable: way.nullable } as const;
  switch (way.kind) {
    case 'column':
      return { ...shared, kind: 'column', column: way.column, columns: [way.column] };
    case 'parent':
      return {
        ...shared,
        kind: 'key',
        columns: way.columns,
        parent: nameOf(way.relation),
        referencedColumns: way.referencedColumns,
      };
    case 'child':
    case 'condition':
      throw new Error(`no case has a way by a ${way.kind}`);
    default:
      return way satisfies never;
  }
}
