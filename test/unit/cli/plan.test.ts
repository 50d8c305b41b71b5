import { readFileSync } from 'node:fs';
import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import { renderPlan } from '../../../ops/cli/output/plan.ts';
import { planDocumentSchema, planJsonSchema } from '../../../ops/cli/output/plan-document.ts';
import { planAsJson } from '../../../src/planner/explain/explain.ts';
import { handMadePlan } from '../../support/hand-made-plan.ts';

const document = planAsJson(handMadePlan);
const counts = new Map([
  ['public.logs', 1_234],
  ['public.tenants', 1],
]);

const render = (columns: number, counted?: ReadonlyMap<string, number>): string =>
  renderPlan(planAsJson(handMadePlan, counted), {
    hazards: document.hazards,
    redisKeys: [],
    undo: 'Archive: host:/srv/archive.',
    colors: createColors(false),
    columns,
  });

/** Without what breaking the lines has done to the words. */
const joined = (text: string): string => text.replace(/\s+/g, ' ');

describe.each([80, 120])('A plan for people, %i columns wide', (columns) => {
  const text = render(columns);

  it('fits', () => {
    expect(text.split('\n').filter((line) => line.length > columns)).toEqual([]);
  });

  it('has the tables of each level with their paths and the estimates of their rows', () => {
    expect(text).toMatch(/^dependents 2 +public\.logs +tenant_id +2,528,475$/m);
    expect(text).toMatch(/^ +public\.teams +owner_id → public\.members\.tenant_id +\?$/m);
    expect(text).toMatch(/^core 2 +public\.files +id ← public\.agents\(file_id\)\.tenant_id +\?$/m);
    expect(joined(text)).toContain('~ all rows: of all tenants together');
  });
});

describe('A plan for people', () => {
  const text = joined(render(200));

  it('says of each clear why, in words', () => {
    expect(text).toContain('last_note_id set to NULL of the tenant’s own rows (tenant_id): opens');
    expect(text).toContain('they refer to each other; only where they go in several batches');
    expect(text).toContain('by the set-null rule for public.reviews_agent_id_fkey');
    expect(text).toContain('tenant_id set to NULL rows stay (tenant_id): by onPurge set-null');
    expect(text).toContain("state set to 'closed', note set to NULL rows stay (tenant_id): by");
  });

  it('says which tables go in one statement, and which rows of others go too', () => {
    expect(text).toContain('in one statement with public.teams');
    expect(text).toContain('in one statement with public.members');
    expect(text).toContain('also rows of others: shared_with_id → public.agents.tenant_id');
  });

  it('shows counted rows instead of the estimates once there are any', () => {
    const counted = render(200, counts);
    expect(counted).toMatch(/public\.logs +tenant_id +1,234$/m);
    expect(counted).not.toContain('2,528,475');
    expect(counted).not.toContain('~ all rows');
  });
});

/**
 * To write the file anew:
 * npx tsx -e "import('./ops/cli/output/plan-document.ts').then((m) => console.log(JSON.stringify(m.planJsonSchema(), null, 2)))" > docs/plan.schema.json
 */
describe('The JSON Schema of a plan', () => {
  const file = new URL('../../../docs/plan.schema.json', import.meta.url);

  it('is in docs as the code has it', () => {
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(planJsonSchema());
  });

  it.each([
    ['bare', document],
    ['with counts', { ...planAsJson(handMadePlan, counts), tenants: 1, rows: 1_235, redisKeys: 0 }],
  ])('holds for a document %s, to the last key', (_, given) => {
    expect(planDocumentSchema.parse(given)).toEqual(given);
  });

  it('refuses a key that it does not know', () => {
    expect(planDocumentSchema.safeParse({ ...document, more: 1 }).success).toBe(false);
    const [level] = document.levels;
    const levels = [{ ...level, more: 1 }];
    expect(planDocumentSchema.safeParse({ ...document, levels }).success).toBe(false);
  });
});
