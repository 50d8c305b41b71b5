import { type Kysely, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import { type LineDigest, parseDigest } from '../../domain/line-digest.ts';
import type { LedgerTables } from '../ledger/tables.ts';

/** A piece of a restore's work that is committed; `bookPieces` books it. */
export interface DonePiece {
  readonly piece: string;
  readonly fromLine: number;
  readonly toLine: number;
  readonly rows: number;
  readonly digest: LineDigest | null;
  /** The transaction that did it. */
  readonly xid: string;
}

/** By piece, and within a piece by line. */
export async function readDonePieces(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
): Promise<DonePiece[]> {
  const { rows } = await sql<{
    piece: string;
    from_line: number;
    to_line: number;
    rows: number;
    digest: string | null;
    xid: string;
  }>`
    select piece, from_line, to_line, rows, digest, xid::text as xid
    from tenant_purge.restore_done where purge_id = ${purgeId}
    order by piece, from_line`.execute(ledger);
  return rows.map((row) => ({
    piece: row.piece,
    fromLine: Number(row.from_line),
    toLine: Number(row.to_line),
    rows: Number(row.rows),
    digest: row.digest === null ? null : parseDigest(row.digest, Number(row.rows)),
    xid: row.xid,
  }));
}
