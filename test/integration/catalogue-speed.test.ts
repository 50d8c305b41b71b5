import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { type CatalogueDatabase, openCatalogueDatabase } from '../support/catalogue-database.ts';

const TABLES = 1_000;
const READ_MS_MAX = 2_000;

describe('the catalogue of a large schema', () => {
  let database: CatalogueDatabase;

  beforeAll(async () => {
    database = await openCatalogueDatabase();
    // Numbers after the first name a table's two parents, so that every table can have two keys.
    const statements = Array.from({ length: TABLES }, (_, n) => {
      const parents = [Math.floor(n / 2), Math.floor(n / 3)];
      return `CREATE TABLE t${n} (id int PRIMARY KEY, a int REFERENCES t${parents[0]} ON DELETE CASCADE,
          b int REFERENCES t${parents[1]}, c text, d text NOT NULL, e int CHECK (e > 0), f date, g jsonb);
        CREATE INDEX ON t${n} (a); CREATE INDEX ON t${n} (b);`;
    });
    for (let n = 0; n < TABLES; n += 50) {
      statements.push(`CREATE VIEW v${n} AS SELECT id FROM t${n};
        CREATE MATERIALIZED VIEW m${n} AS SELECT * FROM v${n} WITH NO DATA;`);
    }
    statements.push('CREATE PUBLICATION everything FOR ALL TABLES;');
    // One transaction: without a commit for each statement this takes seconds, not minutes.
    await database.client.query(`BEGIN; ${statements.join('\n')} COMMIT;`);
  });

  afterAll(() => database?.close());

  it('is read within two seconds', async () => {
    const start = performance.now();
    const catalogue = await readCatalogue(database.client);
    expect(performance.now() - start).toBeLessThan(READ_MS_MAX);
    expect(catalogue.tables).toHaveLength(TABLES);
    expect(catalogue.foreignKeys).toHaveLength(2 * TABLES);
    expect(catalogue.tables.flatMap((table) => table.columns)).toHaveLength(8 * TABLES);
    expect(catalogue.tables.flatMap((table) => table.indexes)).toHaveLength(3 * TABLES);
    expect(catalogue.tables.flatMap((table) => table.checks ?? [])).toHaveLength(TABLES);
    expect(catalogue.views).toHaveLength(TABLES / 25);
    expect(catalogue.tables.flatMap((table) => table.materializedViews ?? [])).toHaveLength(
      TABLES / 50,
    );
    expect(catalogue.tables.every((table) => table.publications?.length === 1)).toBe(true);
  });
});
