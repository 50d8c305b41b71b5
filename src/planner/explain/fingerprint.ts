import { createHash } from 'node:crypto';
import { asFingerprint, type Fingerprint } from '../../domain/ids.ts';
import {
  deletesOf,
  describePath,
  type PlanLevel,
  type PlanStep,
  type TenantPath,
} from '../../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import { type PlannedTables, rulesThatFire, triggersThatFire } from '../hazards/table-hazards.ts';
import { columnList, describeKey } from '../remedy.ts';
import { quiesceFacts } from '../rules/settled-quiesce.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import type { SchemaMap } from '../schema-map.ts';

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
  const facts = new Set([
    `${tenant.table}: tenants by ${tenant.key} of type ${tenant.keyType}`,
    ...quiesceFacts(tenant.table, rules),
  ]);
  for (const level of levels) {
    for (const step of level.steps) for (const fact of stepFacts(level.name, step)) facts.add(fact);
  }
  for (const table of map.tables) {
    if (planned.deleted.has(table.name) || planned.cleared.has(table.name)) {
      for (const fact of tableFacts(table, planned)) facts.add(fact);
    }
  }
  for (const key of map.foreignKeys) {
    if (!planned.deleted.has(key.parent)) continue;
    facts.add(keyFact(key));
    const rule = rules.keyRules.get(key.name);
    if (rule !== undefined) facts.add(`key ${key.name}: rule ${rule}`);
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

function keyFact(key: CatalogueForeignKey): string {
  const columns = key.setColumns === undefined ? '' : ` (${columnList(key.setColumns)})`;
  const more = [
    ...(key.childPartition === undefined ? [] : [`only in ${key.childPartition}`]),
    ...(key.parentPartition === undefined ? [] : [`only to ${key.parentPartition}`]),
    ...(key.enforced === false ? ['not enforced'] : []),
    ...(key.period === true ? ['by period'] : []),
  ].map((text) => `, ${text}`);
  return `key ${key.name}: ${describeKey(key)} ON DELETE ${key.onDelete}${columns}${more.join('')}`;
}

function stepFacts(level: string, step: PlanStep): string[] {
  if (step.kind === 'clear') {
    const values = step.values === undefined ? '' : ` to ${JSON.stringify(step.values)}`;
    return [
      `${step.table}: level ${level} clears ${columnList(step.columns)} of ${step.foreignKey} (${step.reason})${values}`,
      ...(step.reason === 'operator' || step.reason === 'table'
        ? [`${step.table}: rows by ${describePath(step.path)}`]
        : []),
    ];
  }
  const together =
    step.kind === 'component'
      ? [
          `${step.table}: ${step.way === 'deferred' ? 'one transaction' : 'one statement'} with ${step.deletes.map(({ table }) => table).join(', ')}`,
        ]
      : [];
  return [
    ...together,
    ...deletesOf(step).flatMap((deletion) => [
      `${deletion.table}: level ${level}`,
      ...(deletion.path.ways.length === 0 ? [] : [pathFact(deletion.path)]),
      ...deletion.also.map((path) => `${deletion.table}: also rows by ${describePath(path)}`),
      ...deletion.remembers.map(
        ({ columns, parent }) => `${deletion.table}: ${columnList(columns)} takes ${parent} along`,
      ),
    ]),
  ];
}

const pathFact = (path: TenantPath): string =>
  `${path.table}: path ${describePath(path)} by ${[...new Set(path.ways.map(({ via }) => via))].join(', ')}`;

function tableFacts(table: CatalogueTable, planned: PlannedTables): string[] {
  const facts = triggersThatFire(table, planned).map(
    ({ name, timing, events, forEachRow }) =>
      `${table.name}: trigger ${name} ${timing} ${[...events].sort().join(' or ')} each ${forEachRow ? 'row' : 'statement'}`,
  );
  if (table.kind !== 'ordinary' && table.kind !== 'inherited')
    facts.push(`${table.name}: ${table.kind}`);
  for (const { rule } of rulesThatFire(table, planned)) facts.push(`${table.name}: rule ${rule}`);
  if (table.rowSecurityApplies) facts.push(`${table.name}: row security applies`);
  return facts;
}
