import type { Plan } from '../../domain/plan.ts';
import { printDot } from './graph-dot.ts';
import { printMermaid } from './graph-mermaid.ts';
import { graphOf } from './graph-model.ts';

export const GRAPH_FORMATS = ['mermaid', 'dot'] as const;
export type GraphFormat = (typeof GRAPH_FORMATS)[number];

/**
 * The levels of a plan and the foreign keys between its tables, to be drawn by Mermaid or Graphviz;
 * lines without the last newline. Pure.
 */
export function drawPlan(plan: Plan, format: GraphFormat): string {
  const graph = graphOf(plan);
  switch (format) {
    case 'mermaid':
      return printMermaid(graph);
    case 'dot':
      return printDot(graph);
    default:
      return format satisfies never;
  }
}
