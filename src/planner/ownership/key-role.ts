import type { CatalogueForeignKey } from '../catalogue.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import { isMandatory, isReferenceOnly, type SchemaMap } from '../schema-map.ts';

/**
 * What a foreign key says about the rows that carry it: `configured` to own, `owns` by what it is,
 * `may-own` (nullable, and does not cascade), or a mere `reference`.
 */
type KeyRole = 'configured' | 'owns' | 'may-own' | 'reference';

/** Reach is not ownership. Pure. */
export function keyRole(map: SchemaMap, rules: SettledRules, key: CatalogueForeignKey): KeyRole {
  const rule = rules.keyRules.get(key.name);
  if (rule === 'own') return 'configured';
  if (rule !== undefined || isReferenceOnly(key) || key.child === key.parent) return 'reference';
  // A key of one partition says nothing about the others, one of ranges may need several parents.
  if (key.childPartition !== undefined || key.period === true) return 'may-own';
  if (rules.follow.some((followed) => followed.name === key.name)) return 'reference';
  const owns = key.onDelete === 'CASCADE' || isMandatory(map, key.child, key.columns);
  return owns ? 'owns' : 'may-own';
}

/** A key to the tenant table owns the rows that have a value, whether others lack one or not. */
export const ownsByTenantKey = (
  map: SchemaMap,
  rules: SettledRules,
  key: CatalogueForeignKey,
): boolean =>
  keyRole(map, rules, key) !== 'reference' &&
  key.childPartition === undefined &&
  key.period !== true;
