import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseListBound } from '../../src/postgres/catalogue/catalogue-partitions.ts';
import {
  type CatalogueDatabase,
  openCatalogueDatabase,
  tableOf,
} from '../support/catalogue-database.ts';

describe('the catalogue of partitions', () => {
  let database: CatalogueDatabase;

  beforeAll(async () => {
    database = await openCatalogueDatabase();
  });

  afterAll(() => database?.close());

  const indexesOfE = async (sql: string) =>
    tableOf(await database.readAfter(sql), 'public.e').indexes;

  it('shows how a table is divided, and the values of its LIST partitions', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE l (tenant text, at int) PARTITION BY LIST (tenant);
      CREATE TABLE l_a PARTITION OF l FOR VALUES IN ('a', 'it''s, "b" (c)', 'NULL', E'back\\\\slash', '');
      CREATE TABLE l_b PARTITION OF l FOR VALUES IN ('x') PARTITION BY RANGE (at);
      CREATE TABLE l_b_1 PARTITION OF l_b FOR VALUES FROM (1) TO (2);
      CREATE TABLE l_b_2 PARTITION OF l_b DEFAULT;
      CREATE TABLE l_n PARTITION OF l FOR VALUES IN ('y', NULL);
      CREATE TABLE l_z PARTITION OF l DEFAULT;
      CREATE TABLE r (gone int, a int, b int) PARTITION BY RANGE (b, a);
      ALTER TABLE r DROP COLUMN gone;
      CREATE TABLE r_1 PARTITION OF r FOR VALUES FROM (1, 1) TO (2, MAXVALUE);
      CREATE TABLE h (a int, b int) PARTITION BY HASH (a, (b + 1));
      CREATE TABLE plain (a int);`);
    expect(tableOf(catalogue, 'public.l').partitions).toEqual({
      strategy: 'list',
      columns: ['tenant'],
      leaves: [
        {
          name: 'public.l_a',
          values: ['a', 'it\'s, "b" (c)', 'NULL', 'back\\slash', ''],
          onlyValues: true,
        },
        { name: 'public.l_b_1', values: ['x'], onlyValues: true, within: 'public.l_b' },
        { name: 'public.l_b_2', values: ['x'], onlyValues: true, within: 'public.l_b' },
        { name: 'public.l_n', values: ['y'], onlyValues: false },
        { name: 'public.l_z', values: [], onlyValues: false },
      ],
    });
    expect(tableOf(catalogue, 'public.r').partitions).toEqual({
      strategy: 'range',
      columns: ['b', 'a'],
      leaves: [{ name: 'public.r_1', values: [], onlyValues: false }],
    });
    expect(tableOf(catalogue, 'public.h').partitions).toEqual({
      strategy: 'hash',
      columns: [],
      leaves: [],
    });
    expect(tableOf(catalogue, 'public.plain').partitions).toBeUndefined();
  });

  it('shows values of every type as the text of the value itself', async () => {
    const types = {
      int: '-1, 0, 42',
      bigint: '9007199254740993',
      numeric: '1.50, -2',
      uuid: `'8c2d4f6a-0000-4000-8000-000000000001'`,
      boolean: 'true, false',
      varchar: `'v'`,
      date: `'2026-01-31'`,
      'bit(3)': `B'101'`,
    };
    for (const [type, values] of Object.entries(types)) {
      const catalogue = await database.readAfter(`
        CREATE TABLE t (k ${type}) PARTITION BY LIST (k);
        CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (${values});`);
      const { rows } = await database.client.query<{ text: string }>(
        `SELECT v::${type}::text AS text FROM unnest(ARRAY[${values}]::${type}[]) AS v`,
      );
      const [leaf] = tableOf(catalogue, 'public.t').partitions?.leaves ?? [];
      expect(leaf?.onlyValues).toBe(true);
      expect([...(leaf?.values ?? [])].sort()).toEqual(rows.map(({ text }) => text).sort());
    }
  });

  it('parses no values out of the bounds of other partitions', () => {
    for (const bound of [null, 'DEFAULT', "FOR VALUES FROM ('a') TO (MAXVALUE)"]) {
      expect(parseListBound(bound)).toEqual({ values: [], onlyValues: false });
    }
  });

  it('counts an index that every leaf has of its own once, and one that a leaf lacks not at all', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE e (a int, b int, c int, d int) PARTITION BY RANGE (a);
      CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (1);
      CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM (1) TO (9) PARTITION BY LIST (b);
      CREATE TABLE e_2_x PARTITION OF e_2 DEFAULT;
      CREATE UNIQUE INDEX e_1_cd ON e_1 (c, d);
      CREATE UNIQUE INDEX e_2_x_c ON e_2_x (c);
      CREATE INDEX e_1_b ON e_1 (b) WHERE b IS NOT NULL;
      CREATE INDEX e_2_b ON e_2 (b);
      CREATE INDEX e_1_d ON e_1 (d);
      CREATE INDEX e_2_d ON e_2 (d) WHERE d > 0;
      CREATE INDEX e_a ON e (a, b);
      CREATE INDEX e_1_a ON e_1 (a);`);
    expect(tableOf(catalogue, 'public.e').indexes).toEqual([
      { name: 'e_a', columns: ['a', 'b'], unique: false, usable: true },
      { name: 'e_1_b', columns: ['b'], unique: false, usable: true },
      { name: 'e_1_cd', columns: ['c'], unique: false, usable: true },
    ]);
  });

  it('takes an incomplete index of the root for usable once every leaf has one like it', async () => {
    const half = `
      CREATE TABLE e (a int, b int) PARTITION BY RANGE (a);
      CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (1);
      CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM (1) TO (2);
      CREATE INDEX whole ON ONLY e (b);
      CREATE INDEX e_1_b ON e_1 (b); ALTER INDEX whole ATTACH PARTITION e_1_b;`;
    const whole = { name: 'whole', columns: ['b'], unique: false };
    expect(await indexesOfE(half)).toEqual([{ ...whole, usable: false }]);
    const complete = `${half} CREATE INDEX e_2_b ON e_2 (b, a);`;
    expect(await indexesOfE(complete)).toEqual([{ ...whole, usable: true }]);
  });

  it('finds no primary key where only the leaves have one', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE e (id int, at int) PARTITION BY RANGE (at);
      CREATE TABLE e_1 PARTITION OF e (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (1);`);
    const table = tableOf(catalogue, 'public.e');
    expect(table.primaryKey).toBeNull();
    expect(table.indexes).toEqual([
      { name: 'e_1_pkey', columns: ['id'], unique: false, usable: true },
    ]);
  });

  it('shows a key of or to a single partition under the roots', async () => {
    const catalogue = await database.readAfter(`
      CREATE TABLE tenants (id int PRIMARY KEY);
      CREATE TABLE events (id int, tenant_id int NOT NULL REFERENCES tenants, at int, PRIMARY KEY (id, at))
        PARTITION BY RANGE (at);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
      CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);
      ALTER TABLE events_1 ADD UNIQUE (id);
      CREATE TABLE notes (id int, event_id int NOT NULL CONSTRAINT to_leaf REFERENCES events_1 (id));
      ALTER TABLE events_1 ADD CONSTRAINT of_leaf FOREIGN KEY (id) REFERENCES tenants;`);
    const shared = { onDelete: 'NO ACTION', deferrable: false, validated: true };
    expect(catalogue.foreignKeys).toEqual([
      {
        ...shared,
        name: 'public.events.events_tenant_id_fkey',
        child: 'public.events',
        columns: ['tenant_id'],
        parent: 'public.tenants',
        referencedColumns: ['id'],
      },
      {
        ...shared,
        name: 'public.events_1.of_leaf',
        child: 'public.events',
        columns: ['id'],
        parent: 'public.tenants',
        referencedColumns: ['id'],
        childPartition: 'public.events_1',
      },
      {
        ...shared,
        name: 'public.notes.to_leaf',
        child: 'public.notes',
        columns: ['event_id'],
        parent: 'public.events',
        referencedColumns: ['id'],
        parentPartition: 'public.events_1',
      },
    ]);
  });

  describe('with keys on the leaves', () => {
    /** `events_2` has its columns in another order, and partitions of its own. */
    const tables = `
      CREATE TABLE tenants (id int PRIMARY KEY); CREATE TABLE others (id int PRIMARY KEY);
      CREATE TABLE events (tenant_id int, at int) PARTITION BY RANGE (at);
      CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
      CREATE TABLE events_2 (at int, extra int, tenant_id int) PARTITION BY LIST (at);
      ALTER TABLE events_2 DROP COLUMN extra;
      ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20);
      CREATE TABLE events_2_a PARTITION OF events_2 FOR VALUES IN (10);
      CREATE TABLE events_2_b PARTITION OF events_2 DEFAULT;`;
    const keys = async (...sql: string[]) => {
      const { foreignKeys } = await database.readAfter([tables, ...sql].join('\n'));
      return foreignKeys.map((found) => [found.name, found.childPartition]);
    };

    it('takes equivalent ones on all leaves for one of the whole table', async () => {
      expect(
        await keys(key('events_2_a', 'c'), key('events_2_b', 'b'), key('events_1', 'z')),
      ).toEqual([['public.events_1.z', undefined]]);
      expect(await keys(key('events_2', 'c'), key('events_1', 'z'))).toEqual([
        ['public.events_1.z', undefined],
      ]);
    });

    it('leaves them apart where a leaf has none, or one that does something else', async () => {
      expect(await keys(key('events_1', 'x'), key('events_2_a', 'x'))).toEqual([
        ['public.events_1.x', 'public.events_1'],
        ['public.events_2_a.x', 'public.events_2_a'],
      ]);
      for (const other of ['REFERENCES tenants', 'REFERENCES others ON DELETE CASCADE']) {
        expect(await keys(key('events_1', 'x'), key('events_2', 'x', other))).toEqual([
          ['public.events_1.x', 'public.events_1'],
          ['public.events_2.x', 'public.events_2'],
        ]);
      }
    });

    it('takes the one key for deferrable and validated only where all of them are', async () => {
      const { foreignKeys } = await database.readAfter(`${tables}
        ${key('events_2', 'x', 'REFERENCES tenants DEFERRABLE')}
        ${key('events_1', 'x', 'REFERENCES tenants NOT VALID')}`);
      expect(foreignKeys).toMatchObject([{ deferrable: false, validated: false }]);
    });
  });
});

const key = (table: string, name: string, more = 'REFERENCES tenants ON DELETE CASCADE') =>
  `ALTER TABLE ${table} ADD CONSTRAINT ${name} FOREIGN KEY (tenant_id) ${more};`;
