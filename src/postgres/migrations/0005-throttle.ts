/** Knobs that operators turn in mid-run, and why a purge holds. */
export const sql0005 = `
CREATE TABLE tenant_purge.tuning (
  -- 'fleet', or a purge's id.
  scope text PRIMARY KEY,
  -- Null: as the fleet's, or as configured. A cap of 0 rows per second means none.
  target_ms integer CHECK (target_ms > 0),
  max_rows integer CHECK (max_rows > 0),
  max_rows_per_sec integer CHECK (max_rows_per_sec >= 0),
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Why a purge holds, renewed by its holder twice a second while it does. One that its holder left
-- behind shows by its fence or by its age.
CREATE TABLE tenant_purge.throttled (
  purge_id uuid PRIMARY KEY,
  fence bigint NOT NULL,
  reasons text[] NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
`;
