/**
 * Commands that the ledger alone decides: what the queue has yet to be told, a stop at the end of a
 * level, and claims that a stop of the fleet waits for.
 */
export const sql0004 = `
-- The fleet was released while Redis was away: its queue is still to be resumed. A pause that
-- somebody else made there is not ours to end, so the flag alone says which it is.
ALTER TABLE tenant_purge.control ADD COLUMN queue_release_due boolean NOT NULL DEFAULT false;

ALTER TABLE tenant_purge.purge
  -- A command changed the purge, and its job in the queue is still to be woken.
  ADD COLUMN bell_due boolean NOT NULL DEFAULT false,
  -- The stop that begins when the level being worked on is done.
  ADD COLUMN stop_after_level text CHECK (stop_after_level IN ('pause', 'cancel'));
CREATE INDEX purge_bell ON tenant_purge.purge (id) WHERE bell_due;

-- Whoever writes that a level is over meets the stop that was asked for its end, in the same
-- statement: no look before the write could miss one that comes between. Its name comes before
-- check_transition, which then sees the status that is really written.
CREATE FUNCTION tenant_purge.stop_at_level_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.status := CASE OLD.stop_after_level WHEN 'pause' THEN 'pausing' ELSE 'cancelling' END;
  NEW.stop_after_level := NULL;
  -- The next level has not begun.
  IF NEW.level IS NOT NULL THEN
    NEW.stage := OLD.stage;
    NEW.level := OLD.level;
  END IF;
  INSERT INTO tenant_purge.event (purge_id, kind, actor, fence, details)
  VALUES (OLD.id, 'level ended', coalesce(OLD.worker, 'ledger'), OLD.fence,
          jsonb_build_object('level', OLD.level, 'then', NEW.status));
  RETURN NEW;
END $$;
CREATE TRIGGER at_level_end BEFORE UPDATE OF status, level ON tenant_purge.purge
  FOR EACH ROW WHEN (OLD.status = 'running' AND NEW.status IN ('running', 'queued')
    AND OLD.stop_after_level IS NOT NULL AND NEW.stop_after_level IS NOT NULL
    AND OLD.level IS NOT NULL AND NEW.level IS DISTINCT FROM OLD.level)
  EXECUTE FUNCTION tenant_purge.stop_at_level_end();

-- As in the third migration, but under the fleet's lock, shared, before anything is read. Without it a
-- claim that had read the control row just before a stop of the fleet committed just after it, and
-- could seal a purge that the stop had not seen.
CREATE OR REPLACE FUNCTION tenant_purge.claim_purge(p_purge uuid, p_worker text)
RETURNS SETOF tenant_purge.purge LANGUAGE plpgsql AS $$
DECLARE
  v_purge tenant_purge.purge;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1953525093, 0);
  PERFORM pg_advisory_xact_lock(1953525094, hashtext(p_purge::text));
  UPDATE tenant_purge.purge p SET status = 'running', fence = fence + 1, worker = p_worker,
    -- Its job is here, so the bell has rung.
    parked = false, bell_due = false, claimed_at = clock_timestamp(), error = NULL,
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
    -- Completed is final as long as nobody restores: no lock is needed on the others.
    AND (status = 'running' OR NOT EXISTS (
      SELECT FROM unnest(p.waits_for) AS w (id)
      LEFT JOIN tenant_purge.purge d ON d.id = w.id
      WHERE d.status IS DISTINCT FROM 'completed'))
  RETURNING * INTO v_purge;
  IF v_purge.id IS NULL THEN
    RETURN;
  END IF;
  INSERT INTO tenant_purge.event (purge_id, kind, actor, fence)
  VALUES (p_purge, 'claimed', p_worker, v_purge.fence);
  RETURN NEXT v_purge;
END $$;
`;
