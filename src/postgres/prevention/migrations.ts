/** Numbered, in order, never edited once released. */
export const PREVENTION_MIGRATIONS: readonly {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}[] = [
  {
    version: 1,
    name: 'prevention log',
    sql: `
-- What the guard refused, or would have refused. Rows are never changed; retention deletes the oldest.
CREATE TABLE tenant_purge.test_data_prevention_logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- What whoever was refused was told, and the application's log says.
  reference uuid NOT NULL,
  endpoint text,
  outcome text NOT NULL CHECK (outcome IN ('refused', 'reported', 'overridden')),
  -- The first rule that was hit; reason names all.
  rule text NOT NULL,
  reason text NOT NULL,
  ip inet,
  -- Never the mailbox.
  email_domain text,
  -- Redacted before it is sent here.
  payload jsonb NOT NULL
);
CREATE INDEX ON tenant_purge.test_data_prevention_logs (created_at);
CREATE INDEX ON tenant_purge.test_data_prevention_logs (reference);
`,
  },
];
