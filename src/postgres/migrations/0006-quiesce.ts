/** Tenants that a purge has marked for the application, and how the mark is undone. */
export const sql0006 = `
CREATE TABLE tenant_purge.quiesced (
  purge_id uuid PRIMARY KEY,
  -- What the column held; null also where the operator's own SQL marks.
  old_value text,
  -- One statement; null where there is nothing to put back.
  undo text,
  marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Null while the purge lives, and for good once it has completed. 'stays': rows had gone. 'gone':
  -- somebody else had changed it since.
  outcome text CHECK (outcome IN ('put back', 'gone', 'stays', 'failed')),
  ended_at timestamptz
);

-- Puts back what the tenant was before the purge marked it, as long as the purge has changed no row.
-- Idempotent. Never raises for the operator's SQL: a cancel must not fail because the tenant's row is
-- locked; the outcome 'failed' says so, and calling it again tries again.
CREATE FUNCTION tenant_purge.put_back(p_purge uuid) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
  v_mark tenant_purge.quiesced;
  v_outcome text;
  v_rows bigint;
  v_problem text;
BEGIN
  SELECT * INTO v_mark FROM tenant_purge.quiesced WHERE purge_id = p_purge FOR UPDATE;
  IF v_mark.undo IS NULL OR v_mark.outcome IN ('put back', 'gone') THEN
    RETURN v_mark.outcome;
  END IF;
  IF EXISTS (SELECT FROM tenant_purge.batch WHERE purge_id = p_purge AND rows > 0) THEN
    v_outcome := 'stays';
  ELSE
    BEGIN
      EXECUTE v_mark.undo;
      GET DIAGNOSTICS v_rows = ROW_COUNT;
      IF v_rows > 1 THEN
        RAISE EXCEPTION 'it would have changed % rows', v_rows;
      END IF;
      v_outcome := CASE v_rows WHEN 0 THEN 'gone' ELSE 'put back' END;
    EXCEPTION WHEN OTHERS THEN
      v_outcome := 'failed';
      v_problem := SQLERRM;
    END;
  END IF;
  UPDATE tenant_purge.quiesced SET outcome = v_outcome, ended_at = clock_timestamp()
  WHERE purge_id = p_purge;
  INSERT INTO tenant_purge.event (purge_id, kind, actor, details)
  VALUES (p_purge, 'mark ' || CASE v_outcome WHEN 'failed' THEN 'not put back' ELSE v_outcome END,
          'ledger', jsonb_strip_nulls(jsonb_build_object('problem', v_problem)));
  RETURN v_outcome;
END $$;

-- In the statement that ends the purge, whoever writes it: a worker, a command, the reconciler. No
-- crash can come between the two. Its name comes after check_transition.
CREATE FUNCTION tenant_purge.unmark_at_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  v_outcome text := tenant_purge.put_back(NEW.id);
BEGIN
  IF v_outcome IS NOT NULL AND NEW.error IS NOT NULL THEN
    NEW.error := jsonb_set(NEW.error, '{message}', to_jsonb((NEW.error->>'message') || ' ' ||
      CASE v_outcome
        WHEN 'put back' THEN 'The tenant no longer bears the mark of the purge.'
        WHEN 'gone' THEN 'The tenant bore the mark of the purge no more.'
        WHEN 'stays' THEN 'The tenant still bears the mark of the purge, since rows of it are gone or changed.'
        ELSE 'The tenant still bears the mark of the purge: it could not be put back.'
      END));
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER unmark BEFORE UPDATE OF status ON tenant_purge.purge
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status
    AND NEW.status IN ('cancelled', 'refused', 'failed', 'incomplete'))
  EXECUTE FUNCTION tenant_purge.unmark_at_end();
`;
