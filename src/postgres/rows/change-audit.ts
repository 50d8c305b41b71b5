import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId, TableName } from '../../domain/ids.ts';
import type { ActingKey, DeleteStep } from '../../domain/plan.ts';
import { actingKeys, refuseNewKeys } from './acting-keys.ts';
import type { TableStep } from './change-statements.ts';
import { literal } from './row-predicate.ts';

/** A table in which a key's ON DELETE action could change rows during the transaction. */
interface Watched {
  readonly table: TableName;
  readonly partitioned: boolean;
  readonly keys: readonly ActingKey[];
}

/** Rows deleted and updated in one table by statements of ours. */
export interface OwnChanges {
  deleted: number;
  updated: number;
}

/** What the audit's statement read. */
export interface Reading {
  readonly counters: readonly number[];
  /** Oids of the keys that may act. */
  readonly keys: readonly string[];
}

/**
 * Proof, in the transaction itself, that no row went or changed that our own statements did not
 * name: PostgreSQL's counters of this transaction, read before and after, must move by exactly what
 * our statements reported. Cascades of other sessions' newest rows are seen as well, which a look
 * before the delete (15 queries for a small tenant, a semi-join for each batch) would miss.
 */
export class ChangeAudit {
  readonly #watched: readonly Watched[];
  readonly #deletes: readonly DeleteStep[];

  /** @param steps those of the transaction; of a component its deletes */
  constructor(steps: readonly TableStep[]) {
    this.#deletes = steps.filter((step) => step.kind === 'delete');
    const byChild = new Map<TableName, ActingKey[]>();
    for (const key of this.#deletes.flatMap((step) => step.actingKeys)) {
      byChild.set(key.child, [...(byChild.get(key.child) ?? []), key]);
    }
    this.#watched = [...byChild].map(([table, keys]) => ({
      table,
      partitioned: keys.some((key) => key.childPartitioned),
      keys,
    }));
  }

  /**
   * SELECTs of two counters a table, for before and after our changes; the one after them also looks
   * which keys may act now. Null where nothing goes.
   */
  statements(): { readonly before: string; readonly after: string } | null {
    const read = this.#deletes.filter((step) => step.actingKeyIds !== undefined);
    if (this.#watched.length === 0 && read.length === 0) return null;
    const counters = this.#watched.flatMap((watched) => [
      counter(watched, 'pg_stat_get_xact_tuples_deleted'),
      counter(watched, 'pg_stat_get_xact_tuples_updated'),
    ]);
    const before = `select array[${counters.join(', ')}]::bigint[] as counters`;
    return { before, after: read.length === 0 ? before : `${before}, ${actingKeys(read)} as keys` };
  }

  /**
   * @param before the counters before our changes, `after` what was read after them
   * @throws PurgeError CASCADE_GUARD, with table, rows and foreign keys; DRIFT where a key was added;
   * the caller rolls back
   */
  check(
    purgeId: PurgeId,
    { before, after }: { readonly before: Pick<Reading, 'counters'>; readonly after: Reading },
    own: ReadonlyMap<TableName, OwnChanges>,
  ): void {
    refuseNewKeys(purgeId, this.#deletes, after.keys);
    const strangers = this.#watched.flatMap(({ table, keys }, index) => {
      const ours = own.get(table) ?? { deleted: 0, updated: 0 };
      const deleted = delta(before.counters, after.counters, index * 2) - ours.deleted;
      const updated = delta(before.counters, after.counters, index * 2 + 1) - ours.updated;
      const acted = keys.filter((key) => (key.action === 'CASCADE' ? deleted : updated) > 0);
      return acted.length === 0 ? [] : [{ table, deleted, updated, keys: acted }];
    });
    if (strangers.length === 0) return;
    const lines = strangers.map(({ table, deleted, updated, keys }) => {
      const what = deleted > 0 ? `delete ${deleted} rows` : `change ${updated} rows`;
      return `  ${what} of ${table} through ${keys.map((key) => key.foreignKey).join(', ')}`;
    });
    throw new PurgeError(
      'CASCADE_GUARD',
      `Purge ${purgeId}: rows that are not part of the purge reference rows to delete; the batch was rolled back. It would by itself\n${lines.join('\n')}`,
      {
        details: {
          tables: strangers.map(({ table, deleted, updated }) => ({ table, deleted, updated })),
        },
      },
    );
  }
}

const delta = (before: readonly number[], after: readonly number[], index: number): number =>
  (after[index] ?? 0) - (before[index] ?? 0);

/** Counters stand with the leaves of a partitioned table. */
function counter({ table, partitioned }: Watched, name: string): string {
  const relation = `${literal(table)}::regclass`;
  return partitioned
    ? `(select coalesce(sum(${name}(relid)), 0) from pg_partition_tree(${relation}))`
    : `${name}(${relation})`;
}
