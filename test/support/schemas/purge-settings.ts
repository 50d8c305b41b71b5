import type { ConfigInput } from '../../../src/config/schema.ts';
import type { Hazard, HazardType } from '../../../src/domain/hazard.ts';
import { keyOf, type SchemaFacts } from './facts.ts';
import { type Edge, isSoft, ownedTables, type SchemaGraph } from './graph.ts';

/** The part of the configuration that says whose rows are whose. */
export type PurgeSettings = {
  readonly tenant: { readonly table: string; readonly columns: string[] };
  readonly tables: NonNullable<ConfigInput['tables']>;
  readonly foreignKeys: NonNullable<ConfigInput['foreignKeys']>;
  readonly allow: string[];
};

/** Nothing but the tenant table, and names of tenant columns that no foreign key gives away. */
export function bareSettings(facts: SchemaFacts): PurgeSettings {
  const table = keyOf(facts.tenantRoot);
  const known = facts.foreignKeys
    .filter(({ from, to }) => keyOf(to) === table && from.columns.length === 1)
    .flatMap(({ from }) => from.columns);
  const columns = (facts.tenantColumns ?? []).filter((name) => !known.includes(name));
  return {
    tenant: { table, columns },
    tables: {},
    foreignKeys: {},
    allow: [],
  };
}

/**
 * What an operator adds who follows the hazards' remedies: of equally good owners the one that the
 * remedy names, keys that may or may not own are cleared, as are references from outside, and what
 * `--allow` accepts is accepted. The same settings where nothing stands in the way.
 * @throws Error for a hazard that blocks and has no such answer
 */
export function answerHazards(settings: PurgeSettings, hazards: readonly Hazard[]): PurgeSettings {
  return hazards.reduce(answer, settings);
}

/** Hazards that a rule for their key settles. */
export const outsideTypes: readonly HazardType[] = ['OUTSIDE_REFERENCE', 'ACTION_OUTSIDE_SET'];

function answer(settings: PurgeSettings, hazard: Hazard): PurgeSettings {
  const { severity, type, foreignKey, remedy, message } = hazard;
  if (severity === 'info') return settings;
  if (severity === 'allow') {
    return { ...settings, allow: [...new Set([...settings.allow, type])] };
  }
  if (type === 'OWNER_AMBIGUOUS') {
    return { ...settings, tables: { ...settings.tables, ...tablesIn(remedy) } };
  }
  const takesRule = type === 'OWNER_UNCLEAR' || outsideTypes.includes(type);
  if (takesRule && foreignKey !== undefined && settings.foreignKeys[foreignKey] === undefined) {
    return withKeys(settings, [foreignKey], 'set-null');
  }
  throw new Error(`No answer to ${type}: ${message} ${remedy}`);
}

/** The example in a remedy, as one would paste it: `"tables": { "public.a": { … } }`. */
function tablesIn(remedy: string): PurgeSettings['tables'] {
  const [, example] = /"tables": (\{.*\})\./.exec(remedy) ?? [];
  if (example === undefined) throw new Error(`The remedy gives no example: ${remedy}`);
  return JSON.parse(example);
}

/** The settings with one rule for these keys, named `schema.table.constraint`. */
export function withKeys(
  settings: PurgeSettings,
  keys: readonly string[],
  rule: 'own' | 'set-null',
): PurgeSettings {
  const rules = Object.fromEntries(keys.map((key) => [key, rule]));
  return { ...settings, foreignKeys: { ...settings.foreignKeys, ...rules } };
}

/**
 * The soft keys that own where every key does: those toward the tenant of tables that no mandatory
 * key leads there.
 */
export function owningSoftKeys(graph: SchemaGraph): string[] {
  const distances = ownedTables(graph, 'all');
  const leadsNearer = ({ from, to }: Edge) =>
    (distances.get(to) ?? Number.POSITIVE_INFINITY) < (distances.get(from) ?? 0);
  const near = graph.edges.filter(leadsNearer);
  const certain = new Set(near.filter(({ nullable }) => !nullable).map(({ from }) => from));
  return near.filter((edge) => isSoft(edge) && !certain.has(edge.from)).map(nameOfKey);
}

/**
 * The keys to the tenant table that the planner takes for owners unasked and that are soft here: a
 * row may outlive the tenant that it names.
 */
export function softTenantKeys(graph: SchemaGraph): string[] {
  return graph.edges.filter((edge) => edge.to === graph.root && isSoft(edge)).map(nameOfKey);
}

/** As hazards and settings name it, without quotation marks. */
export function nameOfKey({ from, name }: Edge): string {
  return `${from}.${name}`;
}
