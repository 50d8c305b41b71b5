import type { GraphEdge, GraphLevel, GraphNode, PlanGraph } from './graph-model.ts';

/** Mermaid draws no more unless its owner raises `maxEdges`, which a diagram itself cannot. */
const LINKS_MAX_DEFAULT = 500;

/** A Mermaid flowchart: a subgraph for each level, from left to right. */
export function printMermaid({ levels, staying, edges }: PlanGraph): string {
  const links = edges.length + levels.length;
  const lines = [
    ...(links > LINKS_MAX_DEFAULT
      ? [`%% ${links} links: raise maxEdges and maxTextSize where it is drawn, or take --graph dot`]
      : []),
    ...levels.flatMap((level, index) =>
      subgraph(`level${index + 1}`, level.title, [
        ...level.nodes.map(printNode),
        ...level.circles.flatMap(({ title, nodes }, number) =>
          subgraph(`level${index + 1}circle${number + 1}`, title, nodes.map(printNode)),
        ),
      ]),
    ),
    ...(staying.length > 0 ? subgraph('staying', 'stay', staying.map(printNode)) : []),
    ...edges.map(printEdge),
    // Levels stand in their order even where no key leads from one to the next.
    ...levels.slice(1).map((level, index) => `${firstOf(levels[index])} ~~~ ${firstOf(level)}`),
  ];
  return ['flowchart LR', ...lines.map((line) => `  ${line}`)].join('\n');
}

const subgraph = (id: string, title: string, lines: readonly string[]): string[] => [
  `subgraph ${id}[${quote(title)}]`,
  ...lines.map((line) => `  ${line}`),
  'end',
];

const printNode = ({ id, table, notes }: GraphNode): string => `${id}[${quote(table, ...notes)}]`;

function printEdge({ child, parent, label, isPath, isCleared }: GraphEdge): string {
  const arrow = isCleared ? '-.->' : isPath ? '==>' : '-->';
  return `${child} ${arrow}|${quote(...label)}| ${parent}`;
}

const firstOf = (level: GraphLevel | undefined): string | undefined =>
  [...(level?.nodes ?? []), ...(level?.circles ?? []).flatMap(({ nodes }) => nodes)][0]?.id;

/**
 * Whatever could be Mermaid's own (quotes, brackets, Markdown, HTML, `style…:…#`) as an entity, by
 * its code point; the `#` of an entity is the only one left.
 */
const quote = (...lines: readonly string[]): string =>
  `"${lines
    .map((line) =>
      line
        .replace(/\s+/g, ' ')
        .replace(/[^\p{L}\p{N} _.,()=→←-]/gu, (letter) => `#${letter.codePointAt(0)};`),
    )
    .join('<br/>')}"`;
