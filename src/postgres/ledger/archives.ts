import { sql } from 'kysely';
import type {
  ArchiveChunk,
  ArchivedColumn,
  ArchiveLayout,
  ChunkKind,
  KeyChunk,
} from '../../domain/archive.ts';
import { asPurgeId, asTableName, type PurgeId } from '../../domain/ids.ts';
import { LIVE_STATUSES } from '../../domain/purge.ts';
import type { Database } from '../database.ts';
import { type ArchiveHold, holdArchive } from './archive-hold.ts';
import { appendEvent } from './events.ts';
import { tryLockArchive } from './locks.ts';

/** Where a purge's archive lies, and what has become of it. */
export interface ArchiveRecord {
  readonly purgeId: PurgeId;
  /** Identity of the place, and how an operator finds it. */
  readonly place: string;
  readonly location: string;
  readonly folder: string;
  readonly searchPath: string;
  readonly openedAt: Date;
  /** Its manifest says all that the ledger says. */
  readonly sealedAt: Date | null;
  readonly digest: string | null;
  /** Bytes of its own segments that are committed. */
  readonly bytes: number;
  readonly rows: number;
  readonly expiredAt: Date | null;
  readonly expiredBy: string | null;
}

/** The ledger's side of the archives: what is committed lies there for sure, what is not does not count. */
export class ArchiveStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * The archive of this purge; begins it in the given place where there is none yet, and makes the place
   * known. Idempotent. One that was begun elsewhere is returned as it is: the caller compares the places.
   */
  async open(
    purgeId: PurgeId,
    place: { readonly id: string; readonly location: string; readonly folder: string },
  ): Promise<ArchiveRecord> {
    const { rows } = await sql<{ search_path: string; opened_at: Date }>`
      with place as (
        insert into tenant_purge.archive_place (id, location) values (${place.id}, ${place.location})
        on conflict (id) do update set location = excluded.location
        where archive_place.location <> excluded.location)
      insert into tenant_purge.archive (purge_id, place, folder, search_path)
      values (${purgeId}, ${place.id}, ${place.folder}, current_setting('search_path'))
      on conflict (purge_id) do nothing returning search_path, opened_at`.execute(
      this.#database.ledger,
    );
    const [begun] = rows;
    if (begun !== undefined) return freshRecord(purgeId, place, begun);
    const found = await this.find(purgeId);
    if (found === null) throw new Error(`the ledger lost the archive of purge ${purgeId}`);
    return found;
  }

  /** Identity of the place where the purge's archive was begun; null where it was not. */
  async placeOf(purgeId: PurgeId): Promise<string | null> {
    const { rows } = await sql<{ place: string }>`
      select place from tenant_purge.archive where purge_id = ${purgeId}`.execute(
      this.#database.ledger,
    );
    return rows[0]?.place ?? null;
  }

  async find(purgeId: PurgeId): Promise<ArchiveRecord | null> {
    const [found] = await this.#select(sql`a.purge_id = ${purgeId}`);
    return found ?? null;
  }

  /** Oldest first. */
  async list(): Promise<ArchiveRecord[]> {
    return this.#select(sql`true`);
  }

  /** Those of these purges that have one. */
  async ofPurges(purgeIds: readonly PurgeId[]): Promise<ArchiveRecord[]> {
    if (purgeIds.length === 0) return [];
    return this.#select(sql`a.purge_id = any(${[...purgeIds]}::uuid[])`);
  }

  /** Places that archives were ever written to, the newest last. */
  async places(): Promise<{ readonly id: string; readonly location: string }[]> {
    const { rows } = await sql<{ id: string; location: string }>`
      select id, location from tenant_purge.archive_place order by first_seen, id`.execute(
      this.#database.ledger,
    );
    return rows;
  }

  /**
   * Segments of sweeps from which nobody restores keys any more: every purge that took part has expired
   * in this place. They may still lie there.
   */
  async expiredSweepSegments(place: string): Promise<Set<string>> {
    const { rows } = await sql<{ segment: string }>`
      select distinct k.segment from tenant_purge.archive_keys k
      where k.sweep_id in (
        select s.sweep_id from tenant_purge.archive_sweep s
        -- A purge that has joined and not yet begun its archive has none.
        left join tenant_purge.archive a using (purge_id)
        group by 1 having bool_and(a.expired_at is not null and a.place = ${place}))`.execute(
      this.#database.ledger,
    );
    return new Set(rows.map(({ segment }) => segment));
  }

  /** Those whose purge has ended although no manifest was written since. */
  async unsealed(limit: number): Promise<ArchiveRecord[]> {
    return this.#select(
      sql`a.sealed_at is null and a.expired_at is null and exists (
      select from tenant_purge.purge p where p.id = a.purge_id and p.ended_at is not null
        -- Its own worker seals it; this is for one that died.
        and p.ended_at < clock_timestamp() - interval '10 s')`,
      limit,
    );
  }

  async #select(condition: ReturnType<typeof sql>, limit = 1_000_000): Promise<ArchiveRecord[]> {
    const { rows } = await sql<{
      purge_id: string;
      place: string;
      location: string;
      folder: string;
      search_path: string;
      opened_at: Date;
      sealed_at: Date | null;
      digest: string | null;
      bytes: number;
      rows: number;
      expired_at: Date | null;
      expired_by: string | null;
    }>`
      select a.*, l.location,
        coalesce(c.bytes, 0) as bytes, coalesce(c.rows, 0) as rows
      from tenant_purge.archive a
      join tenant_purge.archive_place l on l.id = a.place
      left join lateral (
        select sum(k.byte_length) as bytes,
               sum(k.rows) filter (where k.kind = 'deleted') as rows
        from tenant_purge.archive_chunk k where k.purge_id = a.purge_id) c on true
      where ${condition} order by a.opened_at, a.purge_id limit ${limit}`.execute(
      this.#database.ledger,
    );
    return rows.map((row) => ({
      purgeId: asPurgeId(row.purge_id),
      place: row.place,
      location: row.location,
      folder: row.folder,
      searchPath: row.search_path,
      openedAt: row.opened_at,
      sealedAt: row.sealed_at,
      digest: row.digest,
      bytes: Number(row.bytes),
      rows: Number(row.rows),
      expiredAt: row.expired_at,
      expiredBy: row.expired_by,
    }));
  }

  /** Committed chunks, in the order of their numbers. */
  async chunks(purgeId: PurgeId): Promise<ArchiveChunk[]> {
    const { rows } = await sql<{
      seq: number;
      segment: string;
      byte_offset: number;
      byte_length: number;
      raw_bytes: number;
      kind: ChunkKind;
      table_name: string;
      layout: string;
      rows: number;
      sha256: string;
      chain: string;
      fence: number;
      level: string;
      step: string;
      goes_later: boolean;
    }>`select * from tenant_purge.archive_chunk where purge_id = ${purgeId} order by seq`.execute(
      this.#database.ledger,
    );
    return rows.map((row) => ({
      seq: Number(row.seq),
      segment: row.segment,
      offset: Number(row.byte_offset),
      length: Number(row.byte_length),
      rawBytes: Number(row.raw_bytes),
      kind: row.kind,
      table: asTableName(row.table_name),
      layout: row.layout,
      rows: Number(row.rows),
      sha256: row.sha256,
      chain: row.chain,
      fence: Number(row.fence),
      level: row.level,
      step: row.step,
      goesLater: row.goes_later,
    }));
  }

  async layouts(purgeId: PurgeId): Promise<ArchiveLayout[]> {
    const { rows } = await sql<{
      id: string;
      table_name: string;
      relation: string;
      columns: ArchivedColumn[];
      primary_key: string[];
    }>`select * from tenant_purge.archive_layout where purge_id = ${purgeId} order by id`.execute(
      this.#database.ledger,
    );
    return rows.map((row) => ({
      id: row.id,
      table: asTableName(row.table_name),
      relation: asTableName(row.relation),
      columns: row.columns,
      primaryKey: row.primary_key,
    }));
  }

  /** Chunks of Redis keys of every sweep that the purge took part in; other purges' keys are in them. */
  async keyChunks(purgeId: PurgeId): Promise<KeyChunk[]> {
    const { rows } = await sql<{
      sweep_id: number;
      segment: string;
      byte_offset: number;
      byte_length: number;
      raw_bytes: number;
      keys: number;
      sha256: string;
      chain: string;
    }>`
      select k.* from tenant_purge.archive_keys k
      join tenant_purge.archive_sweep s using (sweep_id)
      where s.purge_id = ${purgeId} order by k.sweep_id, k.segment, k.byte_offset`.execute(
      this.#database.ledger,
    );
    return rows.map((row) => ({
      sweepId: Number(row.sweep_id),
      segment: row.segment,
      offset: Number(row.byte_offset),
      length: Number(row.byte_length),
      rawBytes: Number(row.raw_bytes),
      keys: Number(row.keys),
      sha256: row.sha256,
      chain: row.chain,
    }));
  }

  /** The keys of one pipeline are durable: from now on they may be unlinked. */
  async addKeys(chunk: KeyChunk): Promise<void> {
    await sql`
      insert into tenant_purge.archive_keys
        (sweep_id, segment, byte_offset, byte_length, raw_bytes, keys, sha256, chain)
      values (${chunk.sweepId}, ${chunk.segment}, ${chunk.offset}, ${chunk.length},
        ${chunk.rawBytes}, ${chunk.keys}, ${chunk.sha256}, ${chunk.chain})`.execute(
      this.#database.ledger,
    );
  }

  /** These purges have keys in the sweep's chunks, as far as they archive. Idempotent. */
  async joinSweep(sweepId: number, purgeIds: readonly PurgeId[]): Promise<void> {
    await sql`
      insert into tenant_purge.archive_sweep (purge_id, sweep_id)
      select p.id, ${sweepId} from tenant_purge.purge p
      join tenant_purge.campaign c on c.id = p.campaign_id and c.archive
      where p.id = any(${[...purgeIds]}::uuid[])
      on conflict do nothing`.execute(this.#database.ledger);
  }

  /** Of these purges those that archive. */
  async archiving(purgeIds: readonly PurgeId[]): Promise<Set<PurgeId>> {
    const { rows } = await sql<{ id: string }>`
      select p.id from tenant_purge.purge p
      join tenant_purge.campaign c on c.id = p.campaign_id and c.archive
      where p.id = any(${[...purgeIds]}::uuid[])`.execute(this.#database.ledger);
    return new Set(rows.map(({ id }) => asPurgeId(id)));
  }

  /** The manifest is written. Idempotent. */
  async markSealed(purgeId: PurgeId, digest: string, bytes: number): Promise<void> {
    await sql`
      update tenant_purge.archive set sealed_at = clock_timestamp(), digest = ${digest},
        bytes = ${bytes} where purge_id = ${purgeId}`.execute(this.#database.ledger);
  }

  /** Keeps the archive from expiring while another database is restored from it. @throws PurgeError ARCHIVE_EXPIRED */
  hold(purgeId: PurgeId): Promise<ArchiveHold> {
    return holdArchive(this.#database, purgeId);
  }

  /**
   * Notes that the archive may be thrown away, before it is: afterwards nothing restores from it. The
   * ledger keeps that it existed. A purge that is live, or being restored, keeps its archive: the lock
   * on its row orders this and a restore that begins; the archive's own, one into another database.
   * @returns false where it is, or had expired before
   */
  async expire(purgeId: PurgeId, operator: string): Promise<boolean> {
    return this.#database.ledger.transaction().execute(async (trx) => {
      const { rows: tried } = await tryLockArchive(purgeId).execute(trx);
      if (tried[0]?.locked !== true) return false;
      const { rows } = await sql`
        with ended as (
          select id from tenant_purge.purge
          where id = ${purgeId} and status <> all(${[...LIVE_STATUSES]}::text[]) for update)
        update tenant_purge.archive set expired_at = clock_timestamp(), expired_by = ${operator}
        from ended where purge_id = ended.id and expired_at is null returning purge_id`.execute(
        trx,
      );
      if (rows.length === 0) return false;
      await appendEvent(trx, { kind: 'archive expired', actor: operator, purgeId, details: {} });
      return true;
    });
  }
}

const freshRecord = (
  purgeId: PurgeId,
  place: { readonly id: string; readonly location: string; readonly folder: string },
  begun: { readonly search_path: string; readonly opened_at: Date },
): ArchiveRecord => ({
  purgeId,
  place: place.id,
  location: place.location,
  folder: place.folder,
  searchPath: begun.search_path,
  openedAt: begun.opened_at,
  sealedAt: null,
  digest: null,
  bytes: 0,
  rows: 0,
  expiredAt: null,
  expiredBy: null,
});
