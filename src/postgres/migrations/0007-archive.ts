/** What lies in the archive, committed with the rows it holds; and how far a restore is. */
/** Edges that came with the restore. */
export const TRANSITIONS_0007: readonly (readonly [from: string, to: string, cause: string])[] = [
  ['refused', 'restoring', 'the operator asked for its rows back'],
  ['restoring', 'failed', 'its restore was given up, with rows back and rows not'],
];

export const sql0007 = `
-- Places where archives lie. A worker that sees another one than a purge began with does not go on.
CREATE TABLE tenant_purge.archive_place (
  id uuid PRIMARY KEY,
  -- How an operator finds it: a host and a folder, as its first worker saw it.
  location text NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row a purge that archives.
CREATE TABLE tenant_purge.archive (
  purge_id uuid PRIMARY KEY REFERENCES tenant_purge.purge,
  place uuid NOT NULL REFERENCES tenant_purge.archive_place,
  -- Inside the place.
  folder text NOT NULL,
  search_path text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Its manifest says what the ledger says, and the purge has ended.
  sealed_at timestamptz,
  digest text,
  -- Bytes of the segments, the purge's share of the sweeps' not counted.
  bytes bigint NOT NULL DEFAULT 0,
  expired_at timestamptz,
  expired_by text
);

CREATE TABLE tenant_purge.archive_layout (
  purge_id uuid NOT NULL,
  id text NOT NULL,
  table_name text NOT NULL,
  relation text NOT NULL,
  columns jsonb NOT NULL,
  primary_key text[] NOT NULL,
  PRIMARY KEY (purge_id, id)
);

CREATE TABLE tenant_purge.archive_chunk (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purge_id uuid NOT NULL,
  segment text NOT NULL,
  byte_offset bigint NOT NULL,
  byte_length bigint NOT NULL,
  raw_bytes bigint NOT NULL,
  kind text NOT NULL CHECK (kind IN ('deleted', 'changed')),
  table_name text NOT NULL,
  layout text NOT NULL,
  rows bigint NOT NULL,
  sha256 text NOT NULL,
  chain text NOT NULL,
  fence bigint NOT NULL,
  level text NOT NULL,
  step text NOT NULL,
  goes_later boolean NOT NULL,
  UNIQUE (purge_id, segment, byte_offset)
);

-- Keys of several purges, as one pass over Redis met them. Committed before the keys are unlinked.
CREATE TABLE tenant_purge.archive_keys (
  sweep_id bigint NOT NULL,
  segment text NOT NULL,
  byte_offset bigint NOT NULL,
  byte_length bigint NOT NULL,
  raw_bytes bigint NOT NULL,
  keys bigint NOT NULL,
  sha256 text NOT NULL,
  chain text NOT NULL,
  PRIMARY KEY (segment, byte_offset)
);
CREATE INDEX ON tenant_purge.archive_keys (sweep_id);

-- The sweeps that a purge took part in.
CREATE TABLE tenant_purge.archive_sweep (
  purge_id uuid NOT NULL,
  sweep_id bigint NOT NULL,
  PRIMARY KEY (purge_id, sweep_id)
);
CREATE INDEX ON tenant_purge.archive_sweep (sweep_id);

-- A restore, in the database that the rows go back into: also where that is another one than the
-- purge's. Here therefore nothing refers to tenant_purge.purge.
CREATE TABLE tenant_purge.restore (
  purge_id uuid PRIMARY KEY,
  -- Counted up by each process that takes it over; checked in each batch.
  epoch bigint NOT NULL DEFAULT 1,
  holder text NOT NULL,
  -- False once its process has let go of it by itself; one that was killed is only silent.
  held boolean NOT NULL DEFAULT true,
  operator text NOT NULL,
  rules jsonb NOT NULL DEFAULT '{}',
  stop_asked boolean NOT NULL DEFAULT false,
  rows_total bigint NOT NULL DEFAULT 0,
  rows_restored bigint NOT NULL DEFAULT 0,
  rows_skipped bigint NOT NULL DEFAULT 0,
  keys_restored bigint NOT NULL DEFAULT 0,
  error jsonb,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);

-- One row a piece of work that is committed with it: lines of a chunk inserted, linked again, …
CREATE TABLE tenant_purge.restore_done (
  purge_id uuid NOT NULL REFERENCES tenant_purge.restore ON DELETE CASCADE,
  piece text NOT NULL,
  from_line bigint NOT NULL DEFAULT 0,
  to_line bigint NOT NULL DEFAULT 0,
  rows bigint NOT NULL,
  -- Of the lines that went in, see src/domain/line-digest.ts.
  digest text,
  -- Which rows of the table are this piece's: those bear its number as their xmin.
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (purge_id, piece, from_line)
);

-- Lines that a rule of the operator's leaves out, or puts back without some of its columns.
CREATE TABLE tenant_purge.restore_skip (
  purge_id uuid NOT NULL REFERENCES tenant_purge.restore ON DELETE CASCADE,
  seq bigint NOT NULL,
  line bigint NOT NULL,
  conflict text NOT NULL,
  -- Null: the whole row is left out.
  null_columns text[],
  PRIMARY KEY (purge_id, seq, line)
);

-- First statement of every batch of a restore; as enter_batch, under the same locks.
CREATE FUNCTION tenant_purge.enter_restore(
  p_purge uuid, p_epoch bigint, p_lock_ms integer, p_statement_ms integer, p_idle_ms integer,
  p_settings jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_restore tenant_purge.restore;
BEGIN
  PERFORM set_config(key, value, true) FROM jsonb_each_text(p_settings);
  PERFORM set_config('lock_timeout', p_lock_ms::text, true),
          set_config('statement_timeout', p_statement_ms::text, true),
          set_config('idle_in_transaction_session_timeout', p_idle_ms::text, true);
  PERFORM pg_advisory_xact_lock_shared(1953525093, 0);
  PERFORM pg_advisory_xact_lock_shared(1953525094, hashtext(p_purge::text));
  SELECT * INTO v_restore FROM tenant_purge.restore WHERE purge_id = p_purge;
  IF v_restore.epoch IS DISTINCT FROM p_epoch OR NOT v_restore.held THEN
    RAISE EXCEPTION 'the restore of purge % is held under epoch %, not %', p_purge, v_restore.epoch, p_epoch
      USING ERRCODE = 'TP001';
  END IF;
  IF v_restore.stop_asked OR (SELECT stopped FROM tenant_purge.control) THEN
    RAISE EXCEPTION 'a stop was asked for the restore of purge %', p_purge USING ERRCODE = 'TP002';
  END IF;
END $$;

-- A run of redis orphans --delete: keys of tenants that are in no row of the tenant table.
CREATE TABLE tenant_purge.orphan_run (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- Counted up by each process that takes it over; checked with each chunk and each pipeline.
  epoch bigint NOT NULL DEFAULT 1,
  holder text NOT NULL,
  operator text NOT NULL,
  tenant_table text NOT NULL,
  -- Of the latest holder: a ledger that came with a copy of the database is told by it.
  database_identity text NOT NULL,
  redis_identity text NOT NULL,
  redis_endpoint text NOT NULL,
  templates text[] NOT NULL,
  place uuid NOT NULL REFERENCES tenant_purge.archive_place,
  -- Inside the place.
  folder text NOT NULL,
  -- How far the pass is; one that is resumed passes over the whole keyspace all the same.
  server_run_id text,
  cursor text NOT NULL DEFAULT '0',
  keys_scanned bigint NOT NULL DEFAULT 0,
  -- A process killed between an UNLINK and this leaves its last pipeline uncounted; the chunks have it.
  keys_deleted bigint NOT NULL DEFAULT 0,
  -- Of tenants that were created while their keys went.
  keys_put_back bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz,
  -- Its archive was thrown away.
  expired_at timestamptz,
  expired_by text,
  CHECK (expired_at IS NULL OR ended_at IS NOT NULL)
);
CREATE UNIQUE INDEX orphan_run_open ON tenant_purge.orphan_run (redis_identity) WHERE ended_at IS NULL;

-- Keys of one pipeline of such a run. Committed before they are unlinked.
CREATE TABLE tenant_purge.orphan_chunk (
  run_id uuid NOT NULL REFERENCES tenant_purge.orphan_run,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  segment text NOT NULL,
  byte_offset bigint NOT NULL,
  byte_length bigint NOT NULL,
  raw_bytes bigint NOT NULL,
  keys bigint NOT NULL,
  sha256 text NOT NULL,
  chain text NOT NULL,
  PRIMARY KEY (run_id, segment, byte_offset)
);

INSERT INTO tenant_purge.transition (from_status, to_status, cause) VALUES
${TRANSITIONS_0007.map((edge) => `  (${edge.map((text) => `'${text}'`).join(', ')})`).join(',\n')};
`;
