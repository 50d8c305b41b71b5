import { Client } from 'pg';
import { asTableName } from '../../src/domain/ids.ts';
import type { Catalogue, CatalogueTable } from '../../src/planner/catalogue.ts';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { createDatabase } from './postgres.ts';

/** An empty database whose catalogue is read in the midst of what a test declares. */
export interface CatalogueDatabase {
  readonly client: Client;
  /** Major version of the server, e.g. 18. */
  readonly version: number;
  /** Runs the statements in a transaction that leaves nothing behind, and reads in its midst. */
  readAfter(sql: string): Promise<Catalogue>;
  close(): Promise<void>;
}

export async function openCatalogueDatabase(): Promise<CatalogueDatabase> {
  const database = await createDatabase({ name: 'catalogue' });
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query(`SELECT current_setting('server_version_num')::int AS v`);
  return {
    client,
    version: Math.floor(Number(rows[0]?.v) / 10_000),
    readAfter: async (sql) => {
      await client.query('BEGIN');
      try {
        await client.query(sql);
        return await readCatalogue(client);
      } finally {
        await client.query('ROLLBACK');
      }
    },
    close: async () => {
      await client.end();
      await database.drop();
    },
  };
}

export function tableOf(catalogue: Catalogue, name: string): CatalogueTable {
  const found = catalogue.tables.find((table) => table.name === asTableName(name));
  if (found === undefined) throw new Error(`${name} is not in the catalogue`);
  return found;
}
