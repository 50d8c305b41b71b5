import { TRANSITIONS_0001 } from './transitions-0001.ts';

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/**
 * The ledger. It lies in the target database, so that a batch, its checkpoint and its ledger row
 * commit together, and it outlives the tenants: no foreign key leads out of the schema.
 */
export const sql0001 = `
CREATE TABLE tenant_purge.identity (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO tenant_purge.identity DEFAULT VALUES;

-- The fleet's stop. Set under the exclusive advisory lock that every batch holds shared.
CREATE TABLE tenant_purge.control (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  stopped boolean NOT NULL DEFAULT false,
  changed_by text,
  changed_at timestamptz
);
INSERT INTO tenant_purge.control DEFAULT VALUES;

CREATE TABLE tenant_purge.transition (
  from_status text NOT NULL,
  to_status text NOT NULL,
  cause text NOT NULL,
  PRIMARY KEY (from_status, to_status)
);
INSERT INTO tenant_purge.transition (from_status, to_status, cause) VALUES
${TRANSITIONS_0001.map(([from, to, cause]) => `  (${quote(from)}, ${quote(to)}, ${quote(cause)})`).join(',\n')};

CREATE TABLE tenant_purge.plan (
  fingerprint text PRIMARY KEY,
  plan jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tenant_purge.campaign (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now(),
  operator text NOT NULL,
  environment text NOT NULL,
  database_identity text NOT NULL,
  redis_identity text NOT NULL,
  redis_endpoint text NOT NULL,
  plan_fingerprint text NOT NULL REFERENCES tenant_purge.plan,
  allowed text[] NOT NULL,
  kept text[] NOT NULL,
  archive boolean NOT NULL,
  -- Counts taken when it was enqueued, for the expected-results table of the report.
  before jsonb NOT NULL
);

CREATE TABLE tenant_purge.purge (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  campaign_id uuid NOT NULL REFERENCES tenant_purge.campaign,
  tenant_table text NOT NULL,
  tenant_id text NOT NULL,
  tenant_label text NOT NULL,
  status text NOT NULL DEFAULT 'planned',
  stage text NOT NULL DEFAULT 'preflight',
  level text,
  -- Token of the holder: one more at each claim, checked in every batch's transaction.
  fence bigint NOT NULL DEFAULT 0,
  worker text,
  -- The job in the queue: its id is purge and number, a new number for each new job.
  job_number integer NOT NULL DEFAULT 1,
  -- True once its parked job was seen among the delayed ones: from then on a job that arrives
  -- while the purge is paused was promoted by somebody, and means resume.
  parked boolean NOT NULL DEFAULT false,
  due_at timestamptz NOT NULL DEFAULT now(),
  interruptions integer NOT NULL DEFAULT 0,
  rows_expected jsonb NOT NULL DEFAULT '{}',
  rows_total bigint NOT NULL DEFAULT 0,
  rows_deleted bigint NOT NULL DEFAULT 0,
  redis_waiting_since timestamptz,
  sweep_id bigint,
  swept boolean NOT NULL DEFAULT false,
  redis_keys_deleted bigint NOT NULL DEFAULT 0,
  redis_residue bigint NOT NULL DEFAULT 0,
  residue jsonb NOT NULL DEFAULT '[]',
  error jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  claimed_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX purge_campaign ON tenant_purge.purge (campaign_id);
CREATE INDEX purge_sweep ON tenant_purge.purge (sweep_id) WHERE sweep_id IS NOT NULL;
CREATE INDEX purge_tenant ON tenant_purge.purge (tenant_id);
-- One live purge per tenant.
CREATE UNIQUE INDEX purge_live ON tenant_purge.purge (tenant_table, tenant_id)
  WHERE status IN ('planned', 'scheduled', 'queued', 'running', 'pausing', 'paused', 'cancelling',
                   'interrupted', 'restoring');

CREATE FUNCTION tenant_purge.check_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status IS DISTINCT FROM OLD.status AND NOT EXISTS (
    SELECT FROM tenant_purge.transition t
    WHERE t.from_status = OLD.status AND t.to_status = NEW.status
  ) THEN
    RAISE EXCEPTION 'purge % cannot go from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'TP004';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER check_transition BEFORE UPDATE OF status ON tenant_purge.purge
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
  EXECUTE FUNCTION tenant_purge.check_transition();

CREATE TABLE tenant_purge.checkpoint (
  purge_id uuid NOT NULL,
  step text NOT NULL,
  pass integer NOT NULL,
  leaf text NOT NULL,
  filenode bigint NOT NULL,
  next_block bigint NOT NULL,
  done boolean NOT NULL,
  rows bigint NOT NULL,
  PRIMARY KEY (purge_id, step)
) WITH (fillfactor = 50);

-- No foreign key to the purge: its check would lock the purge's row in every batch.
CREATE TABLE tenant_purge.batch (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  purge_id uuid NOT NULL,
  fence bigint NOT NULL,
  stage text NOT NULL,
  level text NOT NULL,
  kind text NOT NULL,
  table_name text NOT NULL,
  leaf text,
  range text,
  rows bigint NOT NULL,
  duration_ms double precision NOT NULL,
  worker text NOT NULL,
  wal_lsn pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn(),
  segment text,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX batch_purge ON tenant_purge.batch (purge_id);

CREATE TABLE tenant_purge.event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  purge_id uuid,
  campaign_id uuid,
  kind text NOT NULL,
  actor text NOT NULL,
  fence bigint,
  details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_purge ON tenant_purge.event (purge_id);
CREATE INDEX event_campaign ON tenant_purge.event (campaign_id);

CREATE FUNCTION tenant_purge.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tenant_purge.% is append-only', TG_TABLE_NAME USING ERRCODE = 'TP005';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tenant_purge.batch
  FOR EACH STATEMENT EXECUTE FUNCTION tenant_purge.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tenant_purge.event
  FOR EACH STATEMENT EXECUTE FUNCTION tenant_purge.refuse_change();

CREATE TABLE tenant_purge.sweep (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 1,
  holder text NOT NULL,
  -- Opaque; null at the beginning of the pass.
  cursor text,
  keys_scanned bigint NOT NULL DEFAULT 0,
  keys_deleted bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT now(),
  heartbeat_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
-- One sweep at a time.
CREATE UNIQUE INDEX sweep_live ON tenant_purge.sweep ((true)) WHERE finished_at IS NULL;

-- First statement of every batch. Shared locks, exclusive in the stop and in the claim: when one of
-- those returns, no batch of this purge is in flight, and the next one sees what was decided (each
-- statement of the function takes a fresh snapshot). A row lock in their place starved the stop.
CREATE FUNCTION tenant_purge.enter_batch(
  p_purge uuid, p_fence bigint, p_lock_ms integer, p_statement_ms integer, p_idle_ms integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_status text;
  v_fence bigint;
BEGIN
  PERFORM set_config('lock_timeout', p_lock_ms::text, true),
          set_config('statement_timeout', p_statement_ms::text, true),
          set_config('idle_in_transaction_session_timeout', p_idle_ms::text, true);
  IF NOT current_setting('track_counts')::boolean THEN
    RAISE EXCEPTION 'track_counts is off, so rows that go by a cascade would not be noticed'
      USING ERRCODE = 'TP006', HINT = 'Switch track_counts on for this role and database.';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(1953525093, 0);
  PERFORM pg_advisory_xact_lock_shared(1953525094, hashtext(p_purge::text));
  SELECT status, fence INTO v_status, v_fence FROM tenant_purge.purge WHERE id = p_purge;
  IF v_fence IS DISTINCT FROM p_fence THEN
    RAISE EXCEPTION 'purge % is held under fence %, not %', p_purge, v_fence, p_fence
      USING ERRCODE = 'TP001';
  END IF;
  IF v_status <> 'running' OR (SELECT stopped FROM tenant_purge.control) THEN
    RAISE EXCEPTION 'a stop was asked for purge % (%)', p_purge, v_status USING ERRCODE = 'TP002';
  END IF;
END $$;

-- A worker becomes the holder under a new epoch. Waits for a batch that its predecessor has in
-- flight; from then on the predecessor can commit nothing. No row: not claimable now.
CREATE FUNCTION tenant_purge.claim_purge(p_purge uuid, p_worker text)
RETURNS SETOF tenant_purge.purge LANGUAGE plpgsql AS $$
DECLARE
  v_purge tenant_purge.purge;
BEGIN
  PERFORM pg_advisory_xact_lock(1953525094, hashtext(p_purge::text));
  UPDATE tenant_purge.purge SET status = 'running', fence = fence + 1, worker = p_worker,
    parked = false, claimed_at = clock_timestamp(), error = NULL,
    -- A holder that was killed has not written its figure; what it committed stands in the batches.
    rows_deleted = CASE WHEN fence = 0 THEN 0 ELSE coalesce((
      SELECT sum(b.rows) FROM tenant_purge.batch b
      WHERE b.purge_id = p_purge AND b.kind = 'delete' AND b.table_name <> 'redis'), 0) END,
    started_at = coalesce(started_at, clock_timestamp())
  WHERE id = p_purge AND status IN ('queued', 'scheduled', 'interrupted', 'running')
    AND due_at <= clock_timestamp()
    -- One that waits for the sweep stays with the sweep's holder.
    AND NOT (stage = 'redis' AND NOT swept)
    AND NOT (SELECT stopped FROM tenant_purge.control)
  RETURNING * INTO v_purge;
  IF v_purge.id IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO tenant_purge.event (purge_id, kind, actor, fence)
  VALUES (p_purge, 'claimed', p_worker, v_purge.fence);
  RETURN NEXT v_purge;
END $$;
`;
