import { describe, expect, it } from 'vitest';
import { drawPlan } from '../../../src/planner/explain/graph.ts';
import {
  columnWay,
  deleteStep,
  handMadePlan,
  parentWay,
  pathOf,
  planOf,
  reference,
} from '../../support/hand-made-plan.ts';

const mermaid = linesOf(drawPlan(handMadePlan, 'mermaid'));
const dot = linesOf(drawPlan(handMadePlan, 'dot'));

describe('A plan drawn for Mermaid', () => {
  it('is a flowchart with a subgraph for each level that deletes, in order', () => {
    expect(mermaid[0]).toBe('flowchart LR');
    expect(mermaid.filter((line) => line.startsWith('subgraph'))).toEqual([
      'subgraph level1["dependents 2"]',
      'subgraph level1circle1["in one statement"]',
      'subgraph level2["core 1"]',
      'subgraph level3["core 2"]',
      'subgraph level4["tenant"]',
      'subgraph staying["stay"]',
    ]);
    expect(mermaid.filter((line) => line === 'end')).toHaveLength(6);
    expect(mermaid.slice(-3)).toEqual(['t1 ~~~ t5', 't5 ~~~ t6', 't6 ~~~ t7']);
  });

  it('leads from child to parent: tenant paths thick, cleared keys dotted, others thin', () => {
    expect(mermaid).toContain('t2 ==>|"agent_id<br/>ON DELETE CASCADE"| t5');
    expect(mermaid).toContain('t5 ==>|"file_id<br/>ON DELETE NO ACTION"| t6');
    expect(mermaid).toContain('t5 -.->|"last_note_id<br/>ON DELETE SET NULL"| t2');
    expect(mermaid).toContain('t2 -.->|"reply_to_id<br/>ON DELETE NO ACTION"| t2');
    expect(mermaid).toContain('t2 -->|"shared_with_id<br/>ON DELETE NO ACTION"| t5');
  });

  it('writes a way to the tenant that no key shows into the table’s box', () => {
    expect(mermaid).toContain('t1["public.logs<br/>by tenant_id"]');
    expect(mermaid).toContain('t7["public.tenants"]');
  });

  it('says where it is larger than Mermaid draws unasked', () => {
    const [agents, notes] = [pathOf('agents'), pathOf('notes')];
    const levels = [
      { name: 'core', stage: 'core', steps: [deleteStep(agents), deleteStep(notes)] },
    ] as const;
    const keys = Array.from({ length: 600 }, (_, n) => reference(notes, `c${n}`, agents));
    expect(drawPlan(planOf(levels, keys), 'mermaid')).toContain('%% 601 links: raise maxEdges');
    expect(drawPlan(planOf(levels, keys.slice(0, 9)), 'mermaid')).not.toContain('%%');
  });
});

describe('A plan drawn for Graphviz', () => {
  it('has a cluster for each level that deletes, in order, each left of the next', () => {
    const titles = dot.flatMap((line) => /^label="(.+)";$/.exec(line)?.[1] ?? []);
    expect(titles).toEqual([
      'dependents 2',
      'in one statement',
      'core 1',
      'core 2',
      'tenant',
      'stay',
    ]);
    expect(dot).toContain('{ t1 t2 t3 t4 } -> gap1 -> { t5 } [style=invis];');
    const opened = dot.filter((line) => line.endsWith('{')).length;
    expect(dot.filter((line) => line === '}')).toHaveLength(opened);
  });

  it('leads from child to parent: tenant paths bold, cleared keys dashed and without a say in the order', () => {
    expect(dot).toContain('t2 -> t5 [label="agent_id\\nON DELETE CASCADE", style="bold"];');
    expect(dot).toContain(
      't5 -> t2 [label="last_note_id\\nON DELETE SET NULL", style="dashed", constraint=false];',
    );
    expect(dot).toContain('t2 -> t5 [label="shared_with_id\\nON DELETE NO ACTION"];');
  });
});

describe('Names that mean something to the language', () => {
  const odd = pathOf('public."we""ird [x]|<b> &amp; `md` \\n # style:#1; Übung"', {
    ...columnWay('tenant_id', 'column'),
  });
  const child = pathOf('child', parentWay('"odd" -->|x| y', odd));
  const plan = planOf(
    [
      { name: 'dependents', stage: 'dependents', steps: [deleteStep(child)] },
      { name: 'core', stage: 'core', steps: [deleteStep(odd)] },
    ],
    [reference(child, '"odd" -->|x| y', odd)],
  );

  it('come back from Mermaid’s entities as they were, and leave nothing else of its own', () => {
    const text = drawPlan(plan, 'mermaid');
    const labels = [...text.matchAll(/"([^"\n]*)"/g)].map(([, label = '']) => label);
    expect(labels.every((label) => /^(?:[\p{L}\p{N} _.,()=→←-]|#\d+;|<br\/>)*$/u.test(label))).toBe(
      true,
    );
    const plain = labels.map((label) =>
      label.replace(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code))),
    );
    expect(plain).toContain(`${odd.table}<br/>by tenant_id`);
    expect(plain).toContain('"odd" -->|x| y<br/>ON DELETE NO ACTION');
  });

  it('are escaped for Graphviz: quotes, backslashes, and what it would read as HTML', () => {
    const text = drawPlan(plan, 'dot');
    expect(text).toContain(
      String.raw`t2 [label="public.\"we\"\"ird [x]|<b> &amp;amp; ${'`md`'} \\n # style:#1; Übung\"\nby tenant_id"];`,
    );
    expect(text).toContain(String.raw`label="\"odd\" -->|x| y\nON DELETE NO ACTION"`);
  });
});

function linesOf(text: string): string[] {
  return text.split('\n').map((line) => line.trim());
}
