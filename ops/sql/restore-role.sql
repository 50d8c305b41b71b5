-- The role that runs `tenant-purge restore`: what the worker's role may (roles.sql, first), and to
-- insert. A role of its own, so that no worker can write rows into the application. Run it as
-- roles.sql is run; running it again does no harm.
--
--   psql "$ADMIN_URL" -f roles.sql -f restore-role.sql
--   psql "$ADMIN_URL" -c '\password tenant_purge_restore'
--   DATABASE_URL=postgres://tenant_purge_restore:…@host/app tenant-purge restore PURGE --dry-run
--
-- Triggers of the application can only be disabled for a restore by the owner of their table, and row
-- security refuses a restore: where there are policies, a superuser adds
-- ALTER ROLE tenant_purge_restore BYPASSRLS.

DO $$
DECLARE
  app_schemas CONSTANT text[] := ARRAY['public'];
  app_schema text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tenant_purge_restore') THEN
    CREATE ROLE tenant_purge_restore LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION
      IN ROLE tenant_purge;
  END IF;
  -- What is to come back is compared in temporary tables first.
  EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO tenant_purge_restore', current_database());
  FOREACH app_schema IN ARRAY app_schemas LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tenant_purge_restore', app_schema);
    EXECUTE format('GRANT INSERT ON ALL TABLES IN SCHEMA %I TO tenant_purge_restore', app_schema);
    -- Sequences move forward where a value came back that they have yet to give out.
    EXECUTE format('GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %I TO tenant_purge_restore', app_schema);
    EXECUTE format(
      'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT INSERT ON TABLES TO tenant_purge_restore', app_schema);
    EXECUTE format(
      'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, UPDATE ON SEQUENCES TO tenant_purge_restore',
      app_schema);
  END LOOP;
END $$;
