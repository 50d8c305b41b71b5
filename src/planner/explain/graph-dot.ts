import type { GraphEdge, GraphLevel, GraphNode, PlanGraph } from './graph-model.ts';

/** Graphviz: a column of tables for each level, from left to right. */
export function printDot({ levels, staying, edges }: PlanGraph): string {
  const lines = [
    'rankdir=LR;',
    'node [shape=box, fontname="sans-serif", fontsize=11];',
    'edge [fontname="sans-serif", fontsize=9];',
    ...levels.flatMap((level, index) =>
      cluster(`level${index + 1}`, level.title, 'solid', [
        ...level.nodes.map(printNode),
        ...level.circles.flatMap(({ title, nodes }, number) =>
          cluster(`level${index + 1}_circle${number + 1}`, title, 'dotted', nodes.map(printNode)),
        ),
      ]),
    ),
    ...(staying.length > 0 ? cluster('staying', 'stay', 'dashed', staying.map(printNode)) : []),
    ...edges.map(printEdge),
    ...levels.slice(1).flatMap((level, index) => gap(index + 1, levels[index], level)),
  ];
  return ['digraph plan {', ...lines.map((line) => `  ${line}`), '}'].join('\n');
}

/**
 * Holds a level left of the next, also where no key leads from one to the other: a point that is not
 * drawn, behind the one and before the other. `rank=same` would do, but crashes Graphviz 2.43 where
 * an edge stays inside its rank.
 */
function gap(number: number, before: GraphLevel | undefined, after: GraphLevel): string[] {
  const point = `gap${number}`;
  return [
    `${point} [shape=point, style=invis];`,
    `{ ${idsOf(before)} } -> ${point} -> { ${idsOf(after)} } [style=invis];`,
  ];
}

const idsOf = (level: GraphLevel | undefined): string =>
  [...(level?.nodes ?? []), ...(level?.circles ?? []).flatMap(({ nodes }) => nodes)]
    .map(({ id }) => id)
    .join(' ');

const cluster = (
  name: string,
  title: string,
  style: 'solid' | 'dotted' | 'dashed',
  lines: readonly string[],
): string[] => [
  `subgraph cluster_${name} {`,
  `  label=${quote(title)};`,
  `  style=${style};`,
  ...lines.map((line) => `  ${line}`),
  '}',
];

const printNode = ({ id, table, notes }: GraphNode): string =>
  `${id} [label=${quote(table, ...notes)}];`;

function printEdge({ child, parent, label, isPath, isCleared }: GraphEdge): string {
  const styles = [...(isPath ? ['bold'] : []), ...(isCleared ? ['dashed'] : [])];
  const attributes = [
    `label=${quote(...label)}`,
    ...(styles.length > 0 ? [`style="${styles.join(',')}"`] : []),
    // What is cleared asks for no order.
    ...(isCleared ? ['constraint=false'] : []),
  ];
  return `${child} -> ${parent} [${attributes.join(', ')}];`;
}

/** In a quoted label a backslash begins an escape, and `&` a character of HTML. */
const quote = (...lines: readonly string[]): string =>
  `"${lines
    .map((line) =>
      line
        .replaceAll('\\', '\\\\')
        .replaceAll('"', '\\"')
        .replaceAll('&', '&amp;')
        .replace(/\s+/g, ' '),
    )
    .join('\\n')}"`;
