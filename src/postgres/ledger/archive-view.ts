import type { PurgeId } from '../../domain/ids.ts';
import type { Database } from '../database.ts';
import { type ArchiveRecord, ArchiveStore } from './archives.ts';

/**
 * The archives as a command that only looks sees them: it may look at a ledger from before there were
 * any, and finds none.
 */
export class ArchiveView {
  readonly #database: Database;
  readonly #store: ArchiveStore;

  constructor(database: Database) {
    this.#database = database;
    this.#store = new ArchiveStore(database);
  }

  /** Those of these purges that have one. */
  async ofPurges(purgeIds: readonly PurgeId[]): Promise<Map<PurgeId, ArchiveRecord>> {
    if (purgeIds.length === 0 || !(await this.#hasTables())) return new Map();
    return byPurge(await this.#store.ofPurges(purgeIds));
  }

  async all(): Promise<Map<PurgeId, ArchiveRecord>> {
    return (await this.#hasTables()) ? byPurge(await this.#store.list()) : new Map();
  }

  /** Places that archives were ever written to, the newest last. */
  async places(): Promise<{ readonly id: string; readonly location: string }[]> {
    return (await this.#hasTables()) ? await this.#store.places() : [];
  }

  async #hasTables(): Promise<boolean> {
    const { rows } = await this.#database.pool.query(
      "select to_regclass('tenant_purge.archive_sweep') is not null as present",
    );
    return rows[0]?.present === true;
  }
}

const byPurge = (records: readonly ArchiveRecord[]): Map<PurgeId, ArchiveRecord> =>
  new Map(records.map((record) => [record.purgeId, record]));
