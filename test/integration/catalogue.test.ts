import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApplication } from '../../ops/demo/app/seed.ts';
import { configSchema } from '../../src/config/schema.ts';
import { deleteSteps, describePath } from '../../src/domain/plan.ts';
import type { Catalogue } from '../../src/planner/catalogue.ts';
import { makePlan } from '../../src/planner/make-plan.ts';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { tableName } from '../../src/postgres/table-name.ts';
import { hazardLines, rules } from '../support/catalogue.ts';
import {
  type CatalogueDatabase,
  openCatalogueDatabase,
  tableOf,
} from '../support/catalogue-database.ts';
import { createDatabase } from '../support/postgres.ts';

describe('the catalogue reader', () => {
  let database: CatalogueDatabase;

  beforeAll(async () => {
    database = await openCatalogueDatabase();
  });

  afterAll(() => database?.close());

  const readAfter = (sql: string): Promise<Catalogue> => database.readAfter(sql);

  it('reads columns, primary key, indexes and the size of a table', async () => {
    const catalogue = await readAfter(`
      CREATE DOMAIN code AS varchar(8) NOT NULL;
      CREATE TABLE t (b int NOT NULL, a uuid, c code, twice int GENERATED ALWAYS AS (b * 2) STORED,
        gone int, PRIMARY KEY (b, c));
      ALTER TABLE t DROP COLUMN gone;
      CREATE INDEX part ON t (a) WHERE a IS NOT NULL;
      CREATE INDEX expression ON t (a, lower(c), b);
      CREATE INDEX covering ON t (c) INCLUDE (a);
      CREATE INDEX brin ON t USING brin (b);
      CREATE UNIQUE INDEX uniq ON t (a DESC, b);`);
    const table = tableOf(catalogue, 'public.t');
    expect(table).toMatchObject({
      kind: 'ordinary',
      primaryKey: ['b', 'c'],
      triggers: [],
      rules: [],
      rowSecurityApplies: false,
      missingPrivileges: [],
      replicaIdentityOk: true,
      estimatedRows: -1,
    });
    expect(table.columns).toEqual([
      { name: 'b', type: 'integer', notNull: true },
      { name: 'a', type: 'uuid', notNull: false },
      { name: 'c', type: 'character varying(8)', notNull: true },
      { name: 'twice', type: 'integer', notNull: false, generated: true },
    ]);
    expect(table.indexes).toEqual([
      { name: 'brin', columns: ['b'], unique: false, usable: false },
      { name: 'covering', columns: ['c'], unique: false, usable: true },
      { name: 'expression', columns: ['a'], unique: false, usable: true },
      { name: 'part', columns: ['a'], unique: false, usable: true },
      { name: 't_pkey', columns: ['b', 'c'], unique: true, usable: true },
      { name: 'uniq', columns: ['a', 'b'], unique: true, usable: true },
    ]);
    expect(catalogue.role).toBe('postgres');
  });

  it('reads every ON DELETE action and composite keys in the order of the key', async () => {
    const catalogue = await readAfter(`
      CREATE TABLE p (x int, y int, PRIMARY KEY (x, y), z int UNIQUE DEFERRABLE);
      ALTER TABLE p DROP CONSTRAINT p_z_key, ADD UNIQUE (z);
      CREATE TABLE c (a int, b int, c int, d int, e int);
      ALTER TABLE c ADD CONSTRAINT k1 FOREIGN KEY (b, a) REFERENCES p (x, y) MATCH FULL;
      ALTER TABLE c ADD CONSTRAINT k2 FOREIGN KEY (a) REFERENCES p (z) ON DELETE RESTRICT DEFERRABLE;
      ALTER TABLE c ADD CONSTRAINT k3 FOREIGN KEY (c) REFERENCES p (z) ON DELETE CASCADE NOT VALID;
      ALTER TABLE c ADD CONSTRAINT "K 4" FOREIGN KEY (d) REFERENCES p (z) ON DELETE SET NULL;
      ALTER TABLE c ADD CONSTRAINT k5 FOREIGN KEY (e) REFERENCES p (z) ON DELETE SET DEFAULT;`);
    const shared = { child: 'public.c', parent: 'public.p', deferrable: false, validated: true };
    const byZ = { ...shared, referencedColumns: ['z'] };
    expect([...catalogue.foreignKeys].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      { ...byZ, name: 'public.c."K 4"', columns: ['d'], onDelete: 'SET NULL' },
      {
        ...shared,
        name: 'public.c.k1',
        columns: ['b', 'a'],
        referencedColumns: ['x', 'y'],
        onDelete: 'NO ACTION',
        matchFull: true,
      },
      { ...byZ, name: 'public.c.k2', columns: ['a'], onDelete: 'RESTRICT', deferrable: true },
      { ...byZ, name: 'public.c.k3', columns: ['c'], onDelete: 'CASCADE', validated: false },
      { ...byZ, name: 'public.c.k5', columns: ['e'], onDelete: 'SET DEFAULT' },
    ]);
  });

  it('leaves out temporary tables, views, system schemas and the ledger', async () => {
    const catalogue = await readAfter(`
      CREATE TEMP TABLE fleeting (id int); CREATE VIEW seen AS SELECT 1 AS id;
      CREATE SCHEMA tenant_purge; CREATE TABLE tenant_purge.purge (id int);
      CREATE SCHEMA other; CREATE UNLOGGED TABLE other.kept (id int);`);
    expect(catalogue.tables.map((table) => table.name)).toEqual(['other.kept']);
  });

  it('lists a partitioned table once, with its size, its keys once, and its partitions’ triggers', async () => {
    const catalogue = await readAfter(`
      CREATE TABLE tenants (id int PRIMARY KEY);
      CREATE TABLE events (tenant_id int NOT NULL REFERENCES tenants, at int NOT NULL) PARTITION BY RANGE (at);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
      CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (100) PARTITION BY LIST (at);
      CREATE TABLE events_2_a PARTITION OF events_2 DEFAULT;
      CREATE INDEX by_tenant ON events (tenant_id);
      CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
      CREATE TRIGGER on_root AFTER DELETE ON events FOR EACH ROW EXECUTE FUNCTION nothing();
      CREATE TRIGGER on_leaf BEFORE DELETE OR UPDATE ON events_2_a FOR EACH ROW EXECUTE FUNCTION nothing();
      CREATE TRIGGER off BEFORE DELETE ON events_1 FOR EACH ROW EXECUTE FUNCTION nothing();
      ALTER TABLE events_1 DISABLE TRIGGER off;
      INSERT INTO tenants VALUES (1);
      INSERT INTO events SELECT 1, n FROM generate_series(0, 99) n; ANALYZE events;`);
    expect(catalogue.tables.map((table) => table.name)).toEqual([
      'public.events',
      'public.tenants',
    ]);
    expect(catalogue.foreignKeys.map((key) => [key.name, key.childPartition])).toEqual([
      ['public.events.events_tenant_id_fkey', undefined],
    ]);
    expect(tableOf(catalogue, 'public.events')).toMatchObject({
      kind: 'partitioned',
      estimatedRows: 100,
      indexes: [{ name: 'by_tenant', columns: ['tenant_id'], usable: true }],
      triggers: [
        { name: 'on_leaf', timing: 'before', forEachRow: true, events: ['update', 'delete'] },
        { name: 'on_root', timing: 'after', forEachRow: true, events: ['delete'] },
      ],
    });
    const plan = makePlan(catalogue, rules());
    expect(hazardLines(plan)).toEqual([
      'BEFORE_DELETE_TRIGGER allow public.events',
      'NO_PRIMARY_KEY info public.events',
      'TRIGGER info public.events',
    ]);
    expect(deleteSteps(plan)[0]).toMatchObject({ table: 'public.events', partitioned: true });
  });

  it('shows plain inheritance on both sides and foreign tables, partitions too, and the plan refuses these', async () => {
    const catalogue = await readAfter(`
      CREATE TABLE tenants (id int PRIMARY KEY);
      CREATE TABLE base (id int, tenant_id int REFERENCES tenants); CREATE TABLE derived () INHERITS (base);
      CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
      CREATE FOREIGN TABLE remote (tenant_id int) SERVER s;
      CREATE TABLE half (tenant_id int) PARTITION BY LIST (tenant_id);
      CREATE FOREIGN TABLE half_1 PARTITION OF half FOR VALUES IN (1) SERVER s;`);
    const kinds = Object.fromEntries(catalogue.tables.map((table) => [table.relation, table.kind]));
    expect(kinds).toEqual({
      base: 'inherited',
      derived: 'inherited',
      half: 'foreign',
      remote: 'foreign',
      tenants: 'ordinary',
    });
    const plan = makePlan(catalogue, rules());
    expect(hazardLines(plan).filter((line) => line.includes('blocks'))).toEqual([
      'UNSUPPORTED_TABLE blocks public.half',
      'UNSUPPORTED_TABLE blocks public.remote',
    ]);
  });

  it('shows rules on DELETE and UPDATE, but not on INSERT', async () => {
    const catalogue = await readAfter(`
      CREATE TABLE t (id int);
      CREATE RULE no_delete AS ON DELETE TO t DO INSTEAD NOTHING;
      CREATE RULE no_insert AS ON INSERT TO t DO INSTEAD NOTHING;
      CREATE RULE also AS ON UPDATE TO t DO ALSO NOTHING;`);
    const { rules, updateRules } = tableOf(catalogue, 'public.t');
    expect({ rules, updateRules }).toEqual({ rules: ['no_delete'], updateRules: ['also'] });
  });

  it('tells where row security applies and which privileges the connected role lacks', async () => {
    const catalogue = await readAfter(`
      CREATE ROLE catalogue_reader_test;
      CREATE TABLE open_to_all (id int); GRANT SELECT, DELETE, UPDATE ON open_to_all TO catalogue_reader_test;
      CREATE TABLE guarded (id int); GRANT SELECT ON guarded TO catalogue_reader_test;
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
      CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
      GRANT SELECT, DELETE, UPDATE ON parts TO catalogue_reader_test;
      CREATE SCHEMA closed; CREATE TABLE closed.t (id int);
      SET LOCAL ROLE catalogue_reader_test;`);
    const of = (name: string) => {
      const { rowSecurityApplies, missingPrivileges } = tableOf(catalogue, name);
      return [rowSecurityApplies, missingPrivileges.join(' ')];
    };
    expect(of('public.open_to_all')).toEqual([false, '']);
    expect(of('public.guarded')).toEqual([true, 'DELETE UPDATE']);
    expect(of('public.parts')).toEqual([false, 'SELECT DELETE UPDATE']);
    expect(of('closed.t')).toEqual([false, 'USAGE SELECT DELETE UPDATE']);
    expect(catalogue.role).toBe('catalogue_reader_test');
  });

  it('applies row security to an owner only where it is forced, never to a superuser', async () => {
    const owner = 'SET LOCAL ROLE catalogue_owner_test';
    const force = 'ALTER TABLE o.t FORCE ROW LEVEL SECURITY';
    for (const { more, applies } of [
      { more: owner, applies: false },
      { more: `${force}; ${owner}`, applies: true },
      { more: force, applies: false },
    ]) {
      const catalogue = await readAfter(`
        CREATE ROLE catalogue_owner_test; CREATE SCHEMA o AUTHORIZATION catalogue_owner_test;
        CREATE TABLE o.t (id int); ALTER TABLE o.t OWNER TO catalogue_owner_test;
        ALTER TABLE o.t ENABLE ROW LEVEL SECURITY; ${more}`);
      expect(tableOf(catalogue, 'o.t').rowSecurityApplies).toBe(applies);
    }
  });

  it('tells which published tables have no replica identity, partitions too', async () => {
    const catalogue = await readAfter(`
      CREATE TABLE bare (id int); CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE whole (id int);
      CREATE TABLE apart (id int); ALTER TABLE whole REPLICA IDENTITY FULL;
      CREATE TABLE inserts_only (id int);
      CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
      CREATE TABLE silent (id int PRIMARY KEY); ALTER TABLE silent REPLICA IDENTITY NOTHING;
      CREATE PUBLICATION p FOR TABLE bare, keyed, whole, parts, silent;
      CREATE PUBLICATION q FOR TABLE inserts_only WITH (publish = 'insert');`);
    const refused = catalogue.tables.filter((table) => !table.replicaIdentityOk);
    expect(refused.map((table) => table.relation)).toEqual(['bare', 'parts', 'silent']);
  });

  it('names tables exactly as quote_ident of the server does', async () => {
    const { rows: words } = await database.client.query<{ word: string; catcode: string }>(
      'SELECT word, catcode FROM pg_get_keywords()',
    );
    const odd = [
      'a',
      'A',
      '_x9',
      '9x',
      'a$b',
      'sp ace',
      'qu"ote',
      'dot.ted',
      'ünï',
      '',
      "it's",
      'a\nb',
    ];
    const { rows } = await database.client.query<{ name: string; quoted: string }>(
      'SELECT name, quote_ident(name) AS quoted FROM unnest($1::text[]) AS name',
      [[...odd, ...words.map(({ word }) => word)]],
    );
    expect(rows.length).toBeGreaterThan(400);
    for (const { name, quoted } of rows) {
      const ours = tableName('public', name);
      // A word that only a later version reserves is quoted on the earlier ones too.
      const expected = ours === `public."${name}"` && quoted === name ? ours : `public.${quoted}`;
      expect(ours).toBe(expected);
    }
    const quotedMore = rows.filter(
      (row) => tableName('public', row.name) !== `public.${row.quoted}`,
    );
    expect(quotedMore.map((row) => row.name)).toSatisfy(
      (names: string[]) => database.version < 18 || names.length === 0,
    );
  });

  it('reads odd names of schemas, tables, columns and keys', async () => {
    const catalogue = await readAfter(`
      CREATE SCHEMA "My Schema";
      CREATE TABLE "My Schema"."user" ("Id" int PRIMARY KEY, "select" int CONSTRAINT "k.1" REFERENCES "My Schema"."user");`);
    expect(catalogue.tables[0]).toMatchObject({
      name: '"My Schema"."user"',
      schema: 'My Schema',
      relation: 'user',
      primaryKey: ['Id'],
    });
    expect(catalogue.foreignKeys[0]).toMatchObject({
      name: '"My Schema"."user"."k.1"',
      columns: ['select'],
    });
    const plan = makePlan(catalogue, rules({ tenant: { table: 'My Schema.user' } }));
    expect(plan.hazards.find((hazard) => hazard.type === 'TENANT_TREE')?.remedy).toContain(
      JSON.stringify('"My Schema"."user"."k.1"'),
    );
  });

  it('writes nothing: a read-only transaction will do', async () => {
    await database.client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      expect((await readCatalogue(database.client)).tables).toEqual([]);
    } finally {
      await database.client.query('ROLLBACK');
    }
  });
});

describe('the plan of the demo application', () => {
  it('has all 27 tables of tenants in order and nothing that blocks or asks', async () => {
    const database = await createDatabase({ name: 'demo_plan' });
    const client = new Client({ connectionString: database.url });
    try {
      await createApplication(database.url);
      await client.connect();
      const file = new URL('../../ops/demo/purge.config.json', import.meta.url);
      const config = configSchema.parse(JSON.parse(await readFile(file, 'utf8')));
      const { label = null, testColumn = null, ...tenant } = config.tenant;
      const plan = makePlan(
        await readCatalogue(client),
        rules({
          tenant: { ...tenant, key: tenant.key ?? null, label, testColumn },
          core: config.levels.core,
        }),
      );
      expect(plan.hazards).toEqual([]);
      expect(deleteSteps(plan)).toHaveLength(27);
      expect(plan.levels.map((level) => level.name)).toEqual([
        'dependents 1',
        'dependents 2',
        'dependents 3',
        'core 1',
        'core 2',
        'tenant',
      ]);
      const clears = plan.levels.flatMap((level) => level.steps.filter((s) => s.kind === 'clear'));
      expect(clears.map((step) => `${step.foreignKey} ${step.reason}`)).toEqual([
        'public.messages.messages_reply_to_id_fkey self',
        'public.workspaces.workspaces_default_agent_id_fkey cycle',
      ]);
      const snapshots = deleteSteps(plan).find((step) => step.table.endsWith('.canvas_snapshots'));
      expect(snapshots && describePath(snapshots.path)).toBe(
        'canvas_audit_id → public.canvas_audits.tenant_id',
      );
    } finally {
      await client.end();
      await database.drop();
    }
  });
});
