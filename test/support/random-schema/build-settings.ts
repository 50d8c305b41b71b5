import type { BuiltModel } from './build-model.ts';
import {
  type ForeignKey,
  isMandatory,
  type KeyRule,
  qualified,
  ruleName,
  type Settings,
  TENANT_TABLE,
  tableOf,
} from './model.ts';
import { findOwnership, fixedColumns } from './ownership.ts';
import type { Recipe } from './recipe.ts';

const NOTHING_SAID: Settings = { tenantColumns: [], tables: {}, foreignKeys: {} };

/**
 * What an operator would write who reads the plan and settles one problem after the other, and what
 * becomes of references from outside. Pure.
 */
export function buildSettings(built: BuiltModel, recipe: Recipe): Settings {
  let settings: Settings = { ...NOTHING_SAID, tenantColumns: nameTenantColumns(built, recipe) };
  if (recipe.isSettled) settings = settleOwnership(built, recipe, settings);
  return ruleReferences(built, settings);
}

/** A column counts by name; where no key gives that name, the operator does. */
function nameTenantColumns({ model }: BuiltModel, { tables }: Recipe): string[] {
  const isNamedByKey = model.tables.some((table) => {
    const keys = table.foreignKeys.filter(
      ({ parent, onDelete }) =>
        parent === TENANT_TABLE && onDelete !== 'SET NULL' && onDelete !== 'SET DEFAULT',
    );
    return keys.length === 1 && keys[0]?.columns[0] === 'tenant_id';
  });
  const isNeeded = tables.some(({ tenant }) => tenant.kind === 'column');
  return isNeeded && !isNamedByKey ? ['tenant_id'] : [];
}

/** To settle one table may bring others into reach: so in rounds, of one table each. */
function settleOwnership(built: BuiltModel, recipe: Recipe, start: Settings): Settings {
  let settings = start;
  for (const _ of [...recipe.tables, ...recipe.tables]) {
    const { ambiguous, unclear } = findOwnership(built.model, settings);
    const [tied] = ambiguous;
    const [vague] = unclear;
    if (tied !== undefined) {
      const [table, ways] = tied;
      const way = ways[choiceOf(recipe, table) % ways.length];
      if (way === undefined) return settings;
      const tables = { ...settings.tables, [qualified(table)]: { ownedBy: way.columns } };
      settings = { ...settings, tables };
    } else if (vague !== undefined) {
      const [table, keys] = vague;
      settings = withRules(settings, vagueRules(keys, choiceOf(recipe, table)));
    } else {
      return settings;
    }
  }
  return settings;
}

/** One of the keys owns, or none; the others are mere references. */
function vagueRules(keys: readonly ForeignKey[], choice: number): [ForeignKey, KeyRule][] {
  const owning = choice < 4 ? keys[choice % keys.length] : undefined;
  const isTwin = (key: ForeignKey): boolean => key.columns.join() === owning?.columns.join();
  const others: KeyRule[] = ['set-null', 'refuse'];
  return keys.map((key) => [key, isTwin(key) ? 'own' : (others[choice % 2] ?? 'refuse')]);
}

/** Rules for mere references, mostly such as can be followed. */
function ruleReferences({ model, seedOfKey }: BuiltModel, start: Settings): Settings {
  const ownership = findOwnership(model, start);
  const rules: [ForeignKey, KeyRule][] = [];
  for (const table of model.tables) {
    const ways = ownership.ways.get(table.name) ?? [];
    const fixed = fixedColumns(model, ownership, table.name);
    for (const key of table.foreignKeys) {
      const isInto = key.parent === TENANT_TABLE || ownership.ways.has(key.parent);
      const isWay = ways.some((way) => way.columns.join() === key.columns.join());
      const mayOwn =
        key.onDelete === 'CASCADE' ||
        (isMandatory(table, key.columns) && !key.onDelete.startsWith('SET'));
      if (!isInto || isWay || mayOwn || start.foreignKeys[ruleName(key)] !== undefined) continue;
      const isClearable = key.columns.some(
        (name) => !fixed.has(name) && !isMandatory(tableOf(model, key.child), [name]),
      );
      const rule = ruleOfSeed(seedOfKey.get(`${key.child}.${key.name}`)?.rule ?? 2, isClearable);
      // No rule deletes tenants.
      const mayDelete = key.child !== TENANT_TABLE;
      if (rule !== null) rules.push([key, rule === 'delete' && !mayDelete ? 'refuse' : rule]);
    }
  }
  return withRules(start, rules);
}

function ruleOfSeed(seed: number, isClearable: boolean): KeyRule | null {
  if (seed <= 1) return null;
  if (seed === 2) return 'refuse';
  if (seed === 3) return 'set-null';
  if (seed <= 7 && isClearable) return 'set-null';
  return 'delete';
}

function withRules(settings: Settings, rules: readonly [ForeignKey, KeyRule][]): Settings {
  const added = Object.fromEntries(rules.map(([key, rule]) => [ruleName(key), rule]));
  return { ...settings, foreignKeys: { ...settings.foreignKeys, ...added } };
}

const choiceOf = (recipe: Recipe, table: string): number =>
  recipe.tables[Number(table.slice(1)) - 1]?.choice ?? 0;
