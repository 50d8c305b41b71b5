import { type Kysely, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import type { LedgerTables } from '../ledger/tables.ts';

/** A line that a rule leaves out, or puts back without some of its columns. */
export interface SkippedLine {
  readonly seq: number;
  readonly line: number;
  readonly conflict: string;
  /** Null: the line is left out altogether. */
  readonly nullColumns: readonly string[] | null;
}

/** Lines before `line` of a chunk are done: each is back, or was left out. */
export interface DoneLines {
  readonly seq: number;
  readonly line: number;
}

const SKIPS_PER_STATEMENT = 10_000;

/**
 * Replaces what an earlier look left out by what this one does.
 * @param ledger the transaction of the claim
 */
export async function renewSkips(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  {
    skips,
    doneLines,
  }: { readonly skips: readonly SkippedLine[]; readonly doneLines: readonly DoneLines[] },
): Promise<void> {
  await forgetSkips(ledger, purgeId, doneLines);
  for (let at = 0; at < skips.length; at += SKIPS_PER_STATEMENT) {
    await keepSkips(ledger, purgeId, skips.slice(at, at + SKIPS_PER_STATEMENT));
  }
}

/** Lines of one chunk that are left out or changed. */
export async function readSkips(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  seq: number,
): Promise<SkippedLine[]> {
  const { rows } = await sql<{
    seq: number;
    line: number;
    conflict: string;
    null_columns: string[] | null;
  }>`
    select seq, line, conflict, null_columns from tenant_purge.restore_skip
    where purge_id = ${purgeId} and seq = ${seq}`.execute(ledger);
  return rows.map((row) => ({
    seq: Number(row.seq),
    line: Number(row.line),
    conflict: row.conflict,
    nullColumns: row.null_columns,
  }));
}

/**
 * Forgets what an earlier look left out of lines that are not back yet: it has been looked at anew. But
 * once rows were left out of those that are back, what hung on them stays away with them: by now
 * another row may bear their key, and the new look, which sees only what is not back, would give it
 * their children and their references.
 */
async function forgetSkips(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  doneLines: readonly DoneLines[],
): Promise<void> {
  await sql`
    with done as materialized (
      select k.seq, k.line, k.null_columns from tenant_purge.restore_skip k
      join unnest(${doneLines.map(({ seq }) => seq)}::bigint[],
        ${doneLines.map(({ line }) => line)}::bigint[]) as d (seq, line)
        on d.seq = k.seq and k.line < d.line
      where k.purge_id = ${purgeId})
    delete from tenant_purge.restore_skip k where purge_id = ${purgeId}
      and not exists (select from done d where d.seq = k.seq and d.line = k.line)
      and not (k.conflict in ('PARENT_GONE', 'SKIPPED_CHANGE') and k.null_columns is null
        and exists (select from done where null_columns is null))`.execute(ledger);
}

/** What `forgetSkips` has kept stays as it is. */
async function keepSkips(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  skips: readonly SkippedLine[],
): Promise<void> {
  const lines = skips.map(({ seq, line, conflict, nullColumns }) => ({
    seq,
    line,
    conflict,
    nulls: nullColumns,
  }));
  await sql`
    insert into tenant_purge.restore_skip (purge_id, seq, line, conflict, null_columns)
    select ${purgeId}::uuid, s.seq, s.line, s.conflict,
      case when jsonb_typeof(s.nulls) = 'array' then
        array(select jsonb_array_elements_text(s.nulls)) end
    from jsonb_to_recordset(${JSON.stringify(lines)}::jsonb)
      as s (seq bigint, line bigint, conflict text, nulls jsonb)
    on conflict do nothing`.execute(ledger);
}
