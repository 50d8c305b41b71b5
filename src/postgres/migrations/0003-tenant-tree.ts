/**
 * Tenants below others: a purge may wait for purges of the same campaign, and is claimed only once
 * each of them is completed. No foreign key: an array has none, and purges are never deleted.
 */
export const sql0003 = `
ALTER TABLE tenant_purge.purge ADD COLUMN waits_for uuid[] NOT NULL DEFAULT '{}';

-- As in the first migration, but for the purges that this one waits for. One that a worker holds
-- already was claimed when they were completed: whoever takes it over does not ask again.
CREATE OR REPLACE FUNCTION tenant_purge.claim_purge(p_purge uuid, p_worker text)
RETURNS SETOF tenant_purge.purge LANGUAGE plpgsql AS $$
DECLARE
  v_purge tenant_purge.purge;
BEGIN
  PERFORM pg_advisory_xact_lock(1953525094, hashtext(p_purge::text));
  UPDATE tenant_purge.purge p SET status = 'running', fence = fence + 1, worker = p_worker,
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
