import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CatalogueDatabase, openCatalogueDatabase } from '../support/catalogue-database.ts';

describe('the catalogue of foreign keys', () => {
  let database: CatalogueDatabase;

  beforeAll(async () => {
    database = await openCatalogueDatabase();
  });

  afterAll(() => database?.close());

  it('shows the columns that SET NULL and SET DEFAULT are limited to', async ({ skip }) => {
    skip(database.version < 15, 'this server has no such lists');
    const catalogue = await database.readAfter(`
      CREATE TABLE p (x int, y int, PRIMARY KEY (x, y));
      CREATE TABLE c (gone int, a int, b int,
        CONSTRAINT k1 FOREIGN KEY (a, b) REFERENCES p ON DELETE SET NULL (b),
        CONSTRAINT k2 FOREIGN KEY (a, b) REFERENCES p ON DELETE SET DEFAULT (b, a),
        CONSTRAINT k3 FOREIGN KEY (a, b) REFERENCES p ON DELETE SET NULL);
      ALTER TABLE c DROP COLUMN gone;`);
    expect(catalogue.foreignKeys.map((key) => [key.name, key.onDelete, key.setColumns])).toEqual([
      ['public.c.k1', 'SET NULL', ['b']],
      ['public.c.k2', 'SET DEFAULT', ['b', 'a']],
      ['public.c.k3', 'SET NULL', undefined],
    ]);
  });

  it('shows NOT ENFORCED and PERIOD keys, which came with PostgreSQL 18', async ({ skip }) => {
    skip(database.version < 18, 'this server has no such keys');
    const catalogue = await database.readAfter(`
      CREATE TABLE tenants (id int PRIMARY KEY);
      CREATE TABLE rooms (id int4range, during int4range, PRIMARY KEY (id, during WITHOUT OVERLAPS));
      CREATE TABLE a (tenant_id int CONSTRAINT loose REFERENCES tenants (id) NOT ENFORCED,
        other_id int CONSTRAINT tight REFERENCES tenants (id));
      CREATE TABLE b (room int4range, during int4range,
        CONSTRAINT timed FOREIGN KEY (room, PERIOD during) REFERENCES rooms (id, PERIOD during));`);
    expect(catalogue.foreignKeys.map((key) => [key.name, key.enforced, key.period])).toEqual([
      ['public.a.loose', false, undefined],
      ['public.a.tight', undefined, undefined],
      ['public.b.timed', undefined, true],
    ]);
  });
});
