import { createHash } from 'node:crypto';
import { asFingerprint, type Fingerprint } from '../domain/ids.ts';
import { describePath, type PlanLevel } from '../domain/plan.ts';
import type { CatalogueTable } from './catalogue.ts';
import { type PlannedTables, triggersThatFire } from './hazards.ts';
import { columnList, describeKey } from './remedy.ts';
import type { SchemaMap } from './schema-map.ts';
import type { SettledRules } from './settled-rules.ts';

/**
 * Everything about the catalogue and the rules that changes what a purge does, as sorted sentences
 * for people. What only changes how fast it is (indexes, statistics) and what it does not touch
 * (other tables) is left out on purpose: a purge must not be refused for these. Pure.
 */
export function planFacts(
  map: SchemaMap,
  rules: SettledRules,
  levels: readonly PlanLevel[],
  planned: PlannedTables,
): string[] {
  const { tenant } = rules;
  const facts = new Set([`${tenant.table}: tenants by ${tenant.key} of type ${tenant.keyType}`]);
  for (const level of levels) {
    for (const step of level.steps) {
      if (step.kind === 'clear') {
        facts.add(
          `${step.table}: level ${level.name} clears ${columnList(step.columns)} of ${step.foreignKey} (${step.reason})`,
        );
      } else {
        facts.add(`${step.table}: level ${level.name}`);
        facts.add(`${step.table}: path ${describePath(step.path)} by ${step.path.via}`);
      }
    }
  }
  for (const table of map.tables) {
    if (planned.deleted.has(table.name)) {
      for (const fact of tableFacts(table, planned)) facts.add(fact);
    }
  }
  for (const key of [...map.foreignKeys, ...map.unsupportedKeys]) {
    if (!planned.deleted.has(key.parent)) continue;
    const unsupported = key.unsupported === undefined ? '' : ` (${key.unsupported})`;
    facts.add(`key ${key.name}: ${describeKey(key)} ON DELETE ${key.onDelete}${unsupported}`);
    if (rules.kept.has(key.child)) facts.add(`${key.child}: kept`);
  }
  return [...facts].sort();
}

/** SHA-256 over the facts, one a line. Pure. */
export const fingerprintOf = (facts: readonly string[]): Fingerprint =>
  asFingerprint(createHash('sha256').update(facts.join('\n')).digest('hex'));

/** What changed between two plans: `- fact` for what is so no more, `+ fact` for what is new. Pure. */
export function explainDrift(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...before.filter((fact) => !now.has(fact)).map((fact) => `- ${fact}`),
    ...after.filter((fact) => !old.has(fact)).map((fact) => `+ ${fact}`),
  ];
}

function tableFacts(table: CatalogueTable, planned: PlannedTables): string[] {
  const facts = triggersThatFire(table, planned).map(
    ({ name, timing, events, forEachRow }) =>
      `${table.name}: trigger ${name} ${timing} ${[...events].sort().join(' or ')} each ${forEachRow ? 'row' : 'statement'}`,
  );
  if (table.kind !== 'ordinary') facts.push(`${table.name}: ${table.kind}`);
  for (const rule of table.rules) facts.push(`${table.name}: rule ${rule}`);
  if (table.rowSecurityApplies) facts.push(`${table.name}: row security applies`);
  return facts;
}
