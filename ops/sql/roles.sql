-- The role that tenant-purge connects as, with no more than it needs. Run it in the application's
-- database, as a superuser or as the owner of database and tables; running it again does no harm.
--
--   psql "$ADMIN_URL" -f roles.sql
--   psql "$ADMIN_URL" -c '\password tenant_purge'
--   DATABASE_URL=postgres://tenant_purge:…@host/app tenant-purge doctor
--
-- The role may read, update and delete rows of the application, and nothing else: no INSERT (restore
-- needs it: restore-role.sql), no TRUNCATE, no DDL outside its own schema. Row security applies to it and would hide rows from a
-- purge: where tables have policies, a superuser adds ALTER ROLE tenant_purge BYPASSRLS.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenant_purge') THEN
    CREATE ROLE tenant_purge LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO tenant_purge', current_database());
END $$;

-- The ledger: its tables and functions are created by the role itself, in a schema of its own. With
-- CREATE on the database the role would make the schema too; here it need not have that.
CREATE SCHEMA IF NOT EXISTS tenant_purge;
GRANT USAGE, CREATE ON SCHEMA tenant_purge TO tenant_purge;
-- A ledger that another role has created already.
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA tenant_purge TO tenant_purge;
DO $$
BEGIN
  IF to_regclass('tenant_purge.remembered') IS NOT NULL THEN
    GRANT DELETE ON tenant_purge.remembered TO tenant_purge;
  END IF;
  IF to_regclass('tenant_purge.tuning') IS NOT NULL THEN
    GRANT DELETE ON tenant_purge.tuning, tenant_purge.throttled TO tenant_purge;
  END IF;
  IF to_regclass('tenant_purge.restore_skip') IS NOT NULL THEN
    GRANT DELETE ON tenant_purge.restore_skip, tenant_purge.restore_done TO tenant_purge;
  END IF;
END $$;

-- The application: every schema with tables of tenants. Foreign keys lead from one to another, so a
-- schema left out here may turn up as MISSING_PRIVILEGE in the plan.
DO $$
DECLARE
  app_schemas CONSTANT text[] := ARRAY['public'];
  app_schema text;
BEGIN
  FOREACH app_schema IN ARRAY app_schemas LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tenant_purge', app_schema);
    -- SELECT finds and counts, DELETE deletes, UPDATE sets references to NULL that keep an order
    -- from existing.
    EXECUTE format('GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO tenant_purge', app_schema);
    -- Tables of the future, as far as the role that runs this creates them; a role that runs the
    -- application's migrations runs this line for itself.
    EXECUTE format(
      'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, UPDATE, DELETE ON TABLES TO tenant_purge',
      app_schema);
  END LOOP;
END $$;
