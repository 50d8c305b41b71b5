/**
 * Keys of one-to-one parents whose rows are to go after those that referred to them, and a look for
 * rows that a trigger keeps.
 */
export const sql0002 = `
-- No foreign key to the purge: its check would lock the purge's row in every batch.
CREATE TABLE tenant_purge.remembered (
  purge_id uuid NOT NULL,
  foreign_key text NOT NULL,
  parent text NOT NULL,
  -- Values of the key's columns as text, in the key's order.
  key text[] NOT NULL,
  PRIMARY KEY (purge_id, foreign_key, key)
);

-- A completed purge has deleted what it remembered. Of one that ended otherwise the keys stay: the
-- rows that would tell whose parents they are may be gone.
CREATE FUNCTION tenant_purge.forget_parents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM tenant_purge.remembered WHERE purge_id = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER forget_parents AFTER UPDATE OF status ON tenant_purge.purge
  FOR EACH ROW WHEN (NEW.status = 'completed' AND OLD.status IS DISTINCT FROM NEW.status)
  EXECUTE FUNCTION tenant_purge.forget_parents();

-- The first claim takes over what earlier purges of the same tenant remembered and did not delete.
CREATE FUNCTION tenant_purge.adopt_parents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE tenant_purge.remembered SET purge_id = NEW.id
  WHERE purge_id IN (
    SELECT p.id FROM tenant_purge.purge p
    WHERE p.tenant_id = NEW.tenant_id AND p.tenant_table = NEW.tenant_table AND p.id <> NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER adopt_parents AFTER UPDATE OF fence ON tenant_purge.purge
  FOR EACH ROW WHEN (OLD.fence = 0 AND NEW.fence > 0)
  EXECUTE FUNCTION tenant_purge.adopt_parents();

-- Follows a delete inside its transaction: p_row names a row that should be gone, null if there is
-- none. Raised here, because a later statement of the same message would fail on the row's keys and
-- hide why.
CREATE FUNCTION tenant_purge.refuse_kept(p_table text, p_row text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_row IS NOT NULL THEN
    RAISE EXCEPTION 'a row of % stays although it was deleted', p_table
      USING ERRCODE = 'TP007', TABLE = p_table, DETAIL = p_row;
  END IF;
END $$;
`;
