import type { TableName } from '../../domain/ids.ts';
import { nearestMatch } from '../../domain/near-miss.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import type { ForeignKeyRule, PlanRules } from '../rules.ts';
import { type SchemaMap, sameColumns, sortedBy } from '../schema-map.ts';
import { type Problem, suggestion } from './rule-names.ts';
import type { SettledRules } from './settled-rules.ts';

/** The rules about foreign keys; whatever is wrong with them goes to `problems`. Pure but for that. */
export function settleKeyRules(
  map: SchemaMap,
  rules: PlanRules,
  tables: Pick<SettledRules, 'kept' | 'staying' | 'owners'> & { readonly tenant: TableName },
  problems: Problem[],
): Pick<SettledRules, 'keyRules' | 'follow'> {
  const keyRules = new Map<string, ForeignKeyRule>();
  for (const [text, rule] of sortedBy(Object.entries(rules.foreignKeys ?? {}), ([name]) => name)) {
    const key = findKey(map, text, problems);
    if (key === undefined) continue;
    keyRules.set(key.name, rule);
    const wrong = contradiction(key, rule, tables);
    if (wrong !== null) problems.push({ code: 'CONFIG_INVALID', message: `foreignKeys: ${wrong}` });
  }
  const follow = (rules.follow ?? []).flatMap((text) => followedKeys(map, text, problems));
  for (const key of follow) {
    const rule = keyRules.get(key.name);
    if (rule !== undefined) {
      problems.push({
        code: 'CONFIG_INVALID',
        message: `follow: ${key.name} is followed to a parent that goes with its row, and "foreignKeys" says ${rule}: take one away.`,
      });
    }
  }
  return { keyRules, follow };
}

function contradiction(
  key: CatalogueForeignKey,
  rule: ForeignKeyRule,
  tables: Pick<SettledRules, 'kept' | 'staying' | 'owners'> & { readonly tenant: TableName },
): string | null {
  const owner = tables.owners
    .get(key.child)
    ?.find((entry) => entry.to === null && sameColumns(entry.columns, key.columns));
  if (rule !== 'own' && owner !== undefined) {
    return `${key.name} is "${rule}", but "tables" says that ${owner.columns.join(', ')} owns the rows of ${key.child}: take one away.`;
  }
  if (rule === 'own' && tables.kept.has(key.child)) {
    return `${key.name} is "own", but "tables" keeps ${key.child}: take one away.`;
  }
  if (rule === 'delete' && (tables.kept.has(key.child) || tables.staying.has(key.child))) {
    return `${key.name} is "delete", but "tables" keeps ${key.child}: take one away.`;
  }
  if ((rule === 'own' || rule === 'delete') && key.child === tables.tenant) {
    return `${key.name} cannot ${rule} rows of the tenant table: each of them is a tenant.`;
  }
  if ((rule === 'set-null' || rule === 'delete') && key.enforced === false) {
    return `${key.name} is "${rule}", but is NOT ENFORCED: nobody looks for rows that refer by it, and nothing changes them. Enforce it, or say whose the rows of ${key.child} are: "own", or "ownedBy" in "tables".`;
  }
  if (rule !== 'refuse' && key.period === true) {
    return `${key.name} is "${rule}", but matches rows by ranges (PERIOD), which no rule follows: say whose the rows of ${key.child} are by "where" in "tables".`;
  }
  if (rule !== 'refuse' && key.childPartition !== undefined) {
    return `${key.name} is "${rule}", but stands on the partition ${key.childPartition} alone, and rows of others may hold the same values: declare it on ${key.child}, or say whose the rows are by "ownedBy" in "tables".`;
  }
  return null;
}

function findKey(
  map: SchemaMap,
  text: string,
  problems: Problem[],
): CatalogueForeignKey | undefined {
  const found =
    map.foreignKeys.find((key) => key.name === text) ??
    map.foreignKeys.find((key) => key.name.replaceAll('"', '') === text);
  if (found !== undefined) return found;
  const near = nearestMatch(
    text,
    map.foreignKeys.map((key) => key.name),
  );
  problems.push({
    code: 'CONFIG_INVALID',
    message: `foreignKeys: there is no foreign key ${text} in the database; it is written as schema.table.constraint.${suggestion(near)}`,
  });
  return undefined;
}

/** `schema.table.column`: the foreign keys that start with it. */
function followedKeys(map: SchemaMap, text: string, problems: Problem[]): CatalogueForeignKey[] {
  const nameOf = (key: CatalogueForeignKey): string => `${key.child}.${key.columns[0] ?? ''}`;
  const keys = map.foreignKeys.filter(
    (key) =>
      (nameOf(key) === text || nameOf(key).replaceAll('"', '') === text) &&
      key.child !== key.parent &&
      key.period !== true,
  );
  if (keys.length > 0) return keys;
  const near = nearestMatch(text, map.foreignKeys.map(nameOf));
  problems.push({
    code: 'CONFIG_INVALID',
    message: `follow: no foreign key starts at ${text}; it is written as schema.table.column.${suggestion(near)}`,
  });
  return [];
}
