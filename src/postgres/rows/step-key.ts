import type { PlanStep } from '../../domain/plan.ts';

/** The checkpoint's key of a step; a foreign key may be cleared for two reasons. */
export function stepKey(step: PlanStep): string {
  switch (step.kind) {
    case 'delete':
      return `delete ${step.table}`;
    case 'component':
      return `component ${step.table}`;
    case 'clear':
      return clearKey(step);
    default:
      return step satisfies never;
  }
}

function clearKey(step: Extract<PlanStep, { kind: 'clear' }>): string {
  switch (step.reason) {
    case 'cycle':
    case 'self':
      return `clear ${step.foreignKey}`;
    case 'rule':
      return `unlink ${step.foreignKey}`;
    case 'table':
      return `table ${step.table}`;
    case 'operator':
      return `update ${step.table}`;
    default:
      return step.reason satisfies never;
  }
}
