import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Pool } from 'pg';
import { checkRows } from '../../src/archive/check.ts';
import { createFileSystemStore } from '../../src/archive/file-system-store.ts';
import { type Database, openDatabase } from '../../src/postgres/database.ts';
import { ArchiveStore } from '../../src/postgres/ledger/archives.ts';
import { isKeyOf } from './application.ts';

/** Keys by name, with what they hold as `redisChecksum` tells it. */
export type Keys = ReadonlyMap<string, string>;

/** By tenant and key: what DUMP gave, base64. The last that was archived of a key. */
export type ArchivedKeys = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * What is gone is in the archive: as many rows of each table as the ledger booked, every committed byte
 * as it was written, every key.
 */
export async function auditArchives(round: {
  readonly pool: Pool;
  readonly databaseUrl: string;
  readonly archiveDir: string;
  readonly keysBefore: Keys;
  readonly keysAfter: Keys;
  /** Null where Redis itself lost keys: then one that is gone need not be archived. */
  readonly keysLostTo: string | null;
}): Promise<string[]> {
  return [
    ...(await compareRows(round.pool)),
    ...(await checkSegments(round)),
    ...auditKeys({ ...round, archived: await readArchivedKeys(round.pool, round.archiveDir) }),
  ];
}

/** Archived keys of each purge's tenant, read without the program's own reader. @throws Error damaged */
export async function readArchivedKeys(pool: Pool, archiveDir: string): Promise<ArchivedKeys> {
  const { rows } = await pool.query(
    `select p.tenant_id, k.segment, k.byte_offset::int as start, k.byte_length::int as length
     from tenant_purge.archive_keys k
     join tenant_purge.archive_sweep s using (sweep_id)
     join tenant_purge.purge p on p.id = s.purge_id
     order by k.sweep_id, k.segment, k.byte_offset`,
  );
  const archived = new Map<string, Map<string, string>>();
  for (const { tenant_id: tenantId, segment, start, length } of rows) {
    const keys = archived.get(tenantId) ?? new Map<string, string>();
    archived.set(tenantId, keys);
    const bytes = readFileSync(join(archiveDir, 'sweeps', segment)).subarray(start, start + length);
    for (const line of gunzipSync(bytes).toString('utf8').split('\n').slice(0, -1)) {
      const one = JSON.parse(line) as Readonly<Record<'tenantId' | 'key' | 'dump', string>>;
      if (one.tenantId !== tenantId) continue;
      keys.set(Buffer.from(one.key, 'base64').toString('utf8'), one.dump);
    }
  }
  return archived;
}

async function compareRows(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query(
    `select p.tenant_id, table_name, coalesce(a.rows, 0)::int as archived,
            coalesce(b.rows, 0)::int as booked
     from (select purge_id, table_name, sum(rows) as rows from tenant_purge.archive_chunk
           where kind = 'deleted' group by 1, 2) a
     full join (select purge_id, table_name, sum(rows) as rows from tenant_purge.batch
                where kind = 'delete' and stage <> 'redis' group by 1, 2) b
       using (purge_id, table_name)
     join tenant_purge.purge p on p.id = purge_id
     where coalesce(a.rows, 0) <> coalesce(b.rows, 0)`,
  );
  return rows.map(
    ({ tenant_id, table_name, archived, booked }) =>
      `${table_name}: ${archived} rows of ${tenant_id} are archived, ${booked} booked`,
  );
}

async function checkSegments(round: {
  readonly databaseUrl: string;
  readonly archiveDir: string;
}): Promise<string[]> {
  const store = createFileSystemStore(round.archiveDir);
  let database: Database | null = null;
  try {
    database = await openDatabase({
      url: round.databaseUrl,
      connectionsMax: 1,
      applicationName: 'chaos audit',
    });
    const ledger = new ArchiveStore(database);
    const problems: string[] = [];
    for (const { purgeId, folder } of await ledger.list()) {
      const [chunks, layouts] = [await ledger.chunks(purgeId), await ledger.layouts(purgeId)];
      const check = await checkRows({ store, folder, chunks, layouts });
      for (const { segment, offset, table, what } of check.problems) {
        problems.push(`${folder}/${segment}, byte ${offset} (${table}) ${what}`);
      }
    }
    return problems;
  } finally {
    await database?.close();
  }
}

/** A key that is gone is archived; whatever is archived is what was there. */
function auditKeys(seen: {
  readonly keysBefore: Keys;
  readonly keysAfter: Keys;
  readonly keysLostTo: string | null;
  readonly archived: ArchivedKeys;
}): string[] {
  const problems: string[] = [];
  for (const [tenantId, keys] of seen.archived) {
    for (const [key, dump] of keys) {
      const before = seen.keysBefore.get(key);
      if (before === undefined || !isKeyOf(tenantId, key)) {
        problems.push(`the archive has ${key} for ${tenantId}, which was never there`);
      } else if (isDump(before) && before !== dump) {
        problems.push(`${key} of ${tenantId} is archived with another value`);
      }
    }
  }
  if (seen.keysLostTo !== null) return problems;
  const archived = new Set([...seen.archived.values()].flatMap((keys) => [...keys.keys()]));
  for (const key of seen.keysBefore.keys()) {
    if (seen.keysAfter.has(key) || archived.has(key)) continue;
    problems.push(`the key ${key} is gone, and is not archived`);
  }
  return problems;
}

/** Of sets the members are known, not what DUMP gave. */
const isDump = (content: string): boolean => !content.startsWith('[');
