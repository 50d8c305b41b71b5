import * as fc from 'fast-check';
import { buildData } from './build-data.ts';
import { buildModel } from './build-model.ts';
import { buildSettings } from './build-settings.ts';
import { type RandomCase, rowsOf, TENANT_KEY, TENANT_TABLE } from './model.ts';
import { type Recipe, type RecipeOptions, recipes } from './recipe.ts';
import { renderCase } from './render-sql.ts';

/**
 * Random applications with data, configuration and a tenant to purge. They shrink, and one that fails
 * is printed as SQL.
 */
export const randomCases = (options: RecipeOptions): fc.Arbitrary<RandomCase> =>
  recipes(options).map(makeCase).map(printAsSql);

const TENANTS_MIN = 2;

/** Pure: the same case for the same recipe. */
export function makeCase(recipe: Recipe): RandomCase {
  const built = buildModel(recipe);
  const data = buildData(built.model, recipe);
  const tenants = rowsOf(data, TENANT_TABLE).map((row) => row[TENANT_KEY] ?? '');
  if (tenants.length < TENANTS_MIN) {
    // The tenants themselves need rows that are not there; without that need they stay.
    return makeCase({ ...recipe, edges: recipe.edges.filter((edge) => !edge.fromTenants) });
  }
  return {
    model: built.model,
    data,
    settings: buildSettings(built, recipe),
    tenant: tenants[recipe.victim % tenants.length] ?? '',
    batching: { smallPurgeRows: recipe.smallPurgeRows, maxRows: recipe.maxRows },
  };
}

function printAsSql(found: RandomCase): RandomCase {
  const printed = { ...found, [fc.toStringMethod]: () => `\n${renderCase(found)}\n` };
  return printed;
}
