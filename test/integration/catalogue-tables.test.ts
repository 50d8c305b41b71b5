import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import {
  type CatalogueDatabase,
  openCatalogueDatabase,
  tableOf,
} from '../support/catalogue-database.ts';

describe('the catalogue of tables', () => {
  let database: CatalogueDatabase;

  beforeAll(async () => {
    database = await openCatalogueDatabase();
  });

  afterAll(() => database?.close());

  it('shows CHECK constraints with the columns that they read', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE t (a int CHECK (a > 0), b int, c int NOT NULL,
        CONSTRAINT one_of CHECK (num_nonnulls(a, b) = 1), CONSTRAINT nothing CHECK (1 = 1));
      ALTER TABLE t ADD CONSTRAINT late CHECK (c IS NOT NULL) NOT VALID;
      CREATE TABLE bare (a int NOT NULL);`);
    expect(tableOf(catalogue, 'public.t').checks).toEqual([
      { name: 'late', columns: ['c'], definition: 'CHECK ((c IS NOT NULL)) NOT VALID' },
      { name: 'nothing', columns: [], definition: 'CHECK ((1 = 1))' },
      { name: 'one_of', columns: ['a', 'b'], definition: 'CHECK ((num_nonnulls(a, b) = 1))' },
      { name: 't_a_check', columns: ['a'], definition: 'CHECK ((a > 0))' },
    ]);
    expect(tableOf(catalogue, 'public.bare').checks).toEqual([]);
  });

  it('leaves out a CHECK that is not enforced', async ({ skip }) => {
    skip(database.version < 18, 'this server has no such constraints');
    const catalogue = await database.readAfter(
      `CREATE TABLE t (a int, CONSTRAINT loose CHECK (a > 0) NOT ENFORCED);`,
    );
    expect(tableOf(catalogue, 'public.t').checks).toEqual([]);
  });

  it('takes a domain over one that is NOT NULL for NOT NULL', async () => {
    const catalogue = await database.readAfter(`
      CREATE DOMAIN strict AS int NOT NULL; CREATE DOMAIN narrow AS strict CHECK (VALUE > 0);
      CREATE DOMAIN loose AS int;
      CREATE TABLE t (a narrow, b strict, c loose, d int GENERATED ALWAYS AS IDENTITY);`);
    expect(
      tableOf(catalogue, 'public.t').columns.map(({ name, notNull }) => [name, notNull]),
    ).toEqual([
      ['a', true],
      ['b', true],
      ['c', false],
      ['d', true],
    ]);
  });

  it('takes a virtual generated column for a generated one', async ({ skip }) => {
    skip(database.version < 18, 'this server has none');
    const catalogue = await database.readAfter(
      `CREATE TABLE t (a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL);`,
    );
    expect(tableOf(catalogue, 'public.t').columns[1]).toMatchObject({ generated: true });
  });

  it('tells which indexes any look-up by equality can use', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE t (a int, b int, "AND x" int, r int4range, flag bool, EXCLUDE USING gist (r WITH &&));
      CREATE INDEX i01_not_null ON t (a) WHERE a IS NOT NULL;
      CREATE INDEX i02_both ON t (a, "AND x") WHERE "AND x" IS NOT NULL AND (a IS NOT NULL);
      CREATE INDEX i03_other ON t (a) WHERE b IS NOT NULL;
      CREATE INDEX i04_included ON t (a) INCLUDE (b) WHERE b IS NOT NULL;
      CREATE INDEX i05_null ON t (a) WHERE a IS NULL;
      CREATE INDEX i06_value ON t (a) WHERE a IS NOT NULL AND b > 0;
      CREATE INDEX i07_flag ON t (a) WHERE a IS NOT NULL AND flag;
      CREATE INDEX i08_either ON t (a, b) WHERE a IS NOT NULL OR b IS NOT NULL;
      CREATE INDEX i09_hash ON t USING hash (a);
      CREATE INDEX i10_gist ON t USING gist (r);
      CREATE INDEX i11_invalid ON t (a);
      CREATE INDEX i12_unready ON t (a);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i11_invalid'::regclass;
      UPDATE pg_index SET indisready = false WHERE indexrelid = 'i12_unready'::regclass;`);
    const usable = tableOf(catalogue, 'public.t').indexes.filter((index) => index.usable);
    expect(usable.map(({ name }) => name)).toEqual(['i01_not_null', 'i02_both', 'i09_hash']);
  });

  it('tells in which columns NULL does not keep rows apart', async ({ skip }) => {
    skip(database.version < 15, 'this server has no NULLS NOT DISTINCT');
    const catalogue = await database.readAfter(`
      CREATE TABLE t (a int, b int, "C d" int, r int4range);
      CREATE UNIQUE INDEX i01_plain ON t (a, b);
      CREATE UNIQUE INDEX i02_root ON t (a) WHERE b IS NULL;
      CREATE UNIQUE INDEX i03_present ON t (a) WHERE b IS NOT NULL;
      CREATE UNIQUE INDEX i04_both ON t (a) WHERE b IS NULL AND "C d" IS NOT NULL;
      CREATE UNIQUE INDEX i05_either ON t (a) WHERE b IS NOT NULL OR "C d" IS NOT NULL;
      CREATE UNIQUE INDEX i06_expression ON t (a, coalesce(b, 0));
      CREATE UNIQUE INDEX i07_value ON t (a, b) WHERE b > 0;
      CREATE UNIQUE INDEX i08_same ON t (a, "C d") NULLS NOT DISTINCT;
      CREATE UNIQUE INDEX i09_included ON t (a) INCLUDE (b);
      CREATE INDEX i10_many ON t (a) WHERE b IS NULL;
      ALTER TABLE t ADD CONSTRAINT i11_apart EXCLUDE USING gist (r WITH &&) WHERE (b IS NULL);
      CREATE TABLE p (a int, b int) PARTITION BY LIST (a);
      CREATE TABLE p_1 PARTITION OF p DEFAULT;
      CREATE UNIQUE INDEX i20_leaf ON p_1 (a) WHERE b IS NULL;`);
    const colliding = catalogue.tables
      .flatMap(({ indexes }) => indexes)
      .filter(({ nullsCollide }) => nullsCollide !== undefined)
      .map(({ name, nullsCollide }) => [name, nullsCollide]);
    expect(Object.fromEntries(colliding)).toEqual({
      i02_root: ['b'],
      i04_both: ['b'],
      i05_either: ['C d', 'b'],
      i06_expression: ['b'],
      i08_same: ['a', 'C d'],
      i11_apart: ['b'],
      i20_leaf: ['b'],
    });
  });

  it('knows a domain by the type below it, with the modifier nearest to it', async () => {
    const catalogue = await database.readAfter(`
      CREATE DOMAIN word AS varchar(8); CREATE DOMAIN narrow AS word; CREATE DOMAIN number AS int;
      CREATE DOMAIN words AS text[];
      CREATE TABLE t (a word, b narrow, c number, d words, e word[], f varchar(3));`);
    expect(tableOf(catalogue, 'public.t').columns.map(({ type }) => type)).toEqual([
      'character varying(8)',
      'character varying(8)',
      'integer',
      'text[]',
      'word[]',
      'character varying(3)',
    ]);
  });

  it('lists views, and names the materialized ones over each table by whatever way', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE TABLE c (id int);
      CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
      CREATE SCHEMA "Reports";
      CREATE VIEW a_view AS SELECT id FROM a; CREATE VIEW a_view_2 AS SELECT * FROM a_view;
      CREATE MATERIALIZED VIEW "Reports".daily AS SELECT id FROM a_view_2 JOIN b USING (id);
      CREATE MATERIALIZED VIEW monthly AS SELECT id FROM "Reports".daily;
      CREATE MATERIALIZED VIEW of_leaf AS SELECT (SELECT max(id) FROM parts_1) AS top;
      CREATE SCHEMA tenant_purge; CREATE VIEW tenant_purge.state AS SELECT 1 AS x;`);
    expect(catalogue.views).toEqual([
      '"Reports".daily',
      'public.a_view',
      'public.a_view_2',
      'public.monthly',
      'public.of_leaf',
    ]);
    const readers = catalogue.tables.map((table) => [table.relation, table.materializedViews]);
    expect(Object.fromEntries(readers)).toEqual({
      a: ['"Reports".daily', 'public.monthly'],
      b: ['"Reports".daily', 'public.monthly'],
      c: [],
      parts: ['public.of_leaf'],
    });
  });

  it('names the publications that send deletes or updates, partitions’ included', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
      CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id);
      CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
      CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
      CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY LIST (id);
      CREATE TABLE whole_1 PARTITION OF whole DEFAULT;
      CREATE PUBLICATION updates FOR TABLE a WITH (publish = 'insert, update');
      CREATE PUBLICATION deletes FOR TABLE a, parts_2, whole WITH (publish = 'delete');
      CREATE PUBLICATION inserts FOR TABLE b WITH (publish = 'insert, truncate');
      CREATE PUBLICATION via_root FOR TABLE whole WITH (publish_via_partition_root = true);`);
    const sent = catalogue.tables.map((table) => [table.relation, table.publications]);
    expect(Object.fromEntries(sent)).toEqual({
      a: ['deletes', 'updates'],
      b: [],
      parts: ['deletes'],
      whole: ['deletes', 'via_root'],
    });
    expect(catalogue.tables.filter((table) => !table.replicaIdentityOk)).toEqual([]);
  });

  it.each([
    ['filtered by its key', 'WHERE (id > 0)', '', true],
    ['filtered by another column', 'WHERE (n > 0)', '', false],
    ['filtered by a column of its full identity', 'WHERE (n > 0)', 'FULL', true],
    ['sent with its key', '(id)', '', true],
    ['sent without its key', '(n)', '', false],
    ['sent in part of its full identity', '(id)', 'FULL', false],
  ])('knows whether a table %s can lose rows', async (_what, what, identity, isOk) => {
    const client = database.client;
    await client.query('BEGIN');
    try {
      await client.query(`CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, m int);
        ${identity === '' ? '' : `ALTER TABLE t REPLICA IDENTITY ${identity};`}
        CREATE PUBLICATION part_of_it FOR TABLE t ${what}; INSERT INTO t VALUES (1, 1, 1);`);
      const { tables } = await readCatalogue(client);
      expect(tables.map((table) => table.replicaIdentityOk)).toEqual([isOk]);
      const deleted = client.query('DELETE FROM t');
      if (isOk) await deleted;
      else await expect(deleted).rejects.toMatchObject({ code: '42P10' });
    } finally {
      await client.query('ROLLBACK');
    }
  });

  it('sees a publication of everything, and misses no replica identity in it', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE bare (id int);
      CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
      CREATE PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root = true);`);
    expect(
      catalogue.tables.map(({ relation, publications, replicaIdentityOk }) => [
        relation,
        publications,
        replicaIdentityOk,
      ]),
    ).toEqual([
      ['bare', ['everything'], false],
      ['keyed', ['everything'], true],
      ['parts', ['everything'], false],
    ]);
  });

  it('tells which tables are unlogged, by a leaf too', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE kept (id int); CREATE UNLOGGED TABLE cache (id int);
      CREATE TABLE parts (id int) PARTITION BY LIST (id);
      CREATE UNLOGGED TABLE parts_1 PARTITION OF parts DEFAULT;`);
    const unlogged = catalogue.tables.map((table) => [table.relation, table.unlogged]);
    expect(Object.fromEntries(unlogged)).toEqual({ cache: true, kept: false, parts: true });
  });
});
