import { dropDuplicates, referAll } from './draft-references.ts';
import { draftRows, finish } from './drafts.ts';
import { type Data, foreignKeysOf, type Model } from './model.ts';
import type { Recipe } from './recipe.ts';

/** Pure: the same rows for the same recipe; every constraint of the model holds. */
export function buildData(model: Model, recipe: Recipe): Data {
  const drafts = draftRows(model, recipe);
  const keys = foreignKeysOf(model);
  for (let pass = 1; ; pass += 1) {
    const refer = referAll(drafts, keys, { pass, strayShare: recipe.straysPerMille / 1_000 });
    const dropped = dropDuplicates(model, drafts);
    if (!refer && !dropped) break;
  }
  return new Map(
    [...drafts].map(([name, rows]) => [
      name,
      rows.map(({ table, values }) => finish(table, values)),
    ]),
  );
}
