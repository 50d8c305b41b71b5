import type pg from 'pg';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import { type DeleteStep, deletesOf, type Plan, type PlanStep } from '../../domain/plan.ts';
import { arrayLiteral, literal } from './row-predicate.ts';

type Relation = Pick<DeleteStep, 'table' | 'partitioned'>;

/**
 * Oids of the foreign keys whose ON DELETE action PostgreSQL would carry out by itself when rows of
 * these tables, or of their partitions, are deleted; sorted. By the triggers of the tables, for which
 * there is an index: pg_constraint has none on the referenced side.
 */
export function actingKeys(relations: readonly Relation[]): string {
  const names = arrayLiteral(relations.map(({ table }) => table));
  const trees = relations
    .filter(({ partitioned }) => partitioned)
    .map(
      ({ table }) => `union all select relid from pg_partition_tree(${literal(table)}::regclass)`,
    );
  return `array(select distinct c.oid::text
    from (select unnest(${names}::regclass[]) as relid ${trees.join(' ')}) r
    join pg_trigger g on g.tgrelid = r.relid and g.tgconstraint <> 0
    join pg_constraint c on c.oid = g.tgconstraint
    where c.contype = 'f' and c.confrelid = r.relid and c.conparentid = 0
      and c.confdeltype in ('c', 'n', 'd') order by 1)`;
}

/**
 * The plan with the acting keys of each table as they are now.
 * @param client in the transaction that read the catalogue, so that both are of one moment
 */
export async function withActingKeys(client: pg.ClientBase, plan: Plan): Promise<Plan> {
  const deletes = plan.levels.flatMap(({ steps }) => steps.flatMap(deletesOf));
  if (deletes.length === 0) return plan;
  const { rows } = await client.query({
    text: `select ${deletes.map((step) => actingKeys([step])).join(', ')}`,
    rowMode: 'array',
  });
  const found = new Map(deletes.map(({ table }, at) => [table, rows[0]?.[at] as string[]]));
  const known = (step: DeleteStep): DeleteStep => ({
    ...step,
    actingKeyIds: found.get(step.table) ?? [],
  });
  const knownStep = (step: PlanStep): PlanStep => {
    switch (step.kind) {
      case 'delete':
        return known(step);
      case 'component':
        return { ...step, deletes: step.deletes.map(known) };
      case 'clear':
        return step;
      default:
        return step satisfies never;
    }
  };
  return {
    ...plan,
    levels: plan.levels.map((level) => ({ ...level, steps: level.steps.map(knownStep) })),
  };
}

/**
 * A key that was added since the plan was made could have acted on rows that nobody watches. ADD
 * FOREIGN KEY and a delete shut each other out, so a look after the delete and before its commit
 * misses none.
 * @throws PurgeError DRIFT; the caller rolls back
 */
export function refuseNewKeys(
  purgeId: PurgeId,
  steps: readonly DeleteStep[],
  live: readonly string[],
): void {
  const known = new Set(steps.flatMap((step) => step.actingKeyIds ?? []));
  const added = live.filter((oid) => !known.has(oid));
  if (added.length === 0) return;
  const tables = steps.map(({ table }) => table).join(', ');
  throw new PurgeError(
    'DRIFT',
    `Purge ${purgeId}: since it was claimed ${added.length === 1 ? 'a foreign key was' : `${added.length} foreign keys were`} added whose ON DELETE action would change rows when rows of ${tables} go; the batch was rolled back.`,
    { details: { constraintOids: added } },
  );
}
