import { type Kysely, sql } from 'kysely';
import type { StoredChunk } from '../../domain/archive.ts';
import type { OrphanRun } from './orphan-run.ts';
import type { LedgerTables } from './tables.ts';

/** Keys of one pipeline, durable before they were unlinked. */
export interface OrphanChunk extends StoredChunk {
  readonly seq: number;
  readonly keys: number;
}

/** In the order in which they were committed. */
export async function readOrphanChunks(
  ledger: Kysely<LedgerTables>,
  runId: string,
): Promise<OrphanChunk[]> {
  const { rows } = await sql<Record<string, string | number>>`
    select * from tenant_purge.orphan_chunk where run_id = ${runId} order by seq`.execute(ledger);
  return rows.map((row) => ({
    seq: Number(row['seq']),
    segment: String(row['segment']),
    offset: Number(row['byte_offset']),
    length: Number(row['byte_length']),
    rawBytes: Number(row['raw_bytes']),
    keys: Number(row['keys']),
    sha256: String(row['sha256']),
    chain: String(row['chain']),
  }));
}

/** Also the holder's sign of life. False where the run has gone to another holder. */
export async function addOrphanChunk(
  ledger: Kysely<LedgerTables>,
  { id, epoch }: OrphanRun,
  chunk: Omit<OrphanChunk, 'seq'>,
): Promise<boolean> {
  const { rows } = await sql`
    with held as (
      update tenant_purge.orphan_run set heartbeat_at = clock_timestamp()
      where id = ${id} and epoch = ${epoch} and ended_at is null returning id)
    insert into tenant_purge.orphan_chunk
      (run_id, segment, byte_offset, byte_length, raw_bytes, keys, sha256, chain)
    select held.id, ${chunk.segment}, ${chunk.offset}, ${chunk.length}, ${chunk.rawBytes},
      ${chunk.keys}, ${chunk.sha256}, ${chunk.chain} from held returning run_id`.execute(ledger);
  return rows.length > 0;
}
