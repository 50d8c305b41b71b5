import { z } from 'zod';
import { isSafeName } from '../../../src/archive/file-name.ts';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { EXIT } from '../../../src/domain/errors.ts';
import { asTenantId, type TenantId } from '../../../src/domain/ids.ts';
import {
  type CreatedArchive,
  createArchive,
  createdName,
} from '../../../src/engine/archive/create-archive.ts';
import { appendEvent } from '../../../src/postgres/ledger/events.ts';
import { ledgerVersion } from '../../../src/postgres/migrate.ts';
import { withTenantSnapshot } from '../../../src/postgres/rows/tenant-snapshot.ts';
import { dumpTenantKeys } from '../../../src/redis/dump-tenant-keys.ts';
import { parseKeyTemplate } from '../../../src/redis/key-template.ts';
import type { Observer } from '../../../src/runtime/observer.ts';
import { type Answer, defineCommand, readOptions } from '../command.ts';
import { withObserver } from '../open.ts';
import { operatorIdentity } from '../operator.ts';
import { formatBytes } from '../output/archive.ts';
import { plural } from '../output/text.ts';

const optionsSchema = z.object({
  tenant: z.string({ error: 'name one tenant.' }).min(1),
  out: z
    .string()
    .refine(isSafeName, 'a name of letters, digits, _ . and -, not beginning with a dot.')
    .optional(),
});
type Options = z.output<typeof optionsSchema>;

/** A backup of a tenant that stays. Deletes nothing; a kept tenant will do. */
export const archiveCreate = defineCommand<Options>({
  usage: 'create',
  summary: 'Back up one tenant that stays: its rows at one moment, and its Redis keys',
  examples: ['archive create --tenant 42', 'archive create --tenant 42 --out before-migration'],
  describe: (command) =>
    command
      .requiredOption('--tenant <id>', 'the tenant')
      .option('--out <name>', 'name of its folder; default: the tenant and the time'),
  validate: (raw) => readOptions(optionsSchema, raw),
  run: (session, options) =>
    withObserver(session, async (observer) => {
      const tenantId = asTenantId(options.tenant);
      const name = options.out ?? createdName(tenantId, new Date());
      const created = await create(observer, tenantId, name);
      return answer(observer, created);
    }),
});

async function create(
  observer: Observer,
  tenantId: TenantId,
  name: string,
): Promise<CreatedArchive> {
  const { config, database, rules, reader } = observer;
  const store = createFileSystemStore(config.archive.dir);
  const options = { rules, lockTimeoutMs: config.batch.lockTimeoutMs };
  const parts = {
    store,
    databaseIdentity: observer.whereabouts.databaseIdentity,
    databaseVersion: database.version,
    bytesOf: (rows: Readonly<Record<string, number>>) => reader.bytesOf(rows),
    keys: keysOf(observer, tenantId),
  };
  const created = await withTenantSnapshot(database, options, (snapshot) =>
    createArchive(parts, snapshot, { tenantId, name }),
  );
  // A database that never had a purge gets no ledger for a backup.
  if ((await ledgerVersion(database)) !== null) {
    await appendEvent(database.ledger, {
      kind: 'archive created',
      actor: operatorIdentity(),
      details: { tenantId, location: store.location(), folder: created.folder },
    });
  }
  return created;
}

function keysOf({ config, redis }: Observer, tenantId: TenantId) {
  if (config.redis.keys.length === 0) return null;
  return dumpTenantKeys(redis, config.redis.keys.map(parseKeyTemplate), tenantId, {
    excludePrefixes: [`${config.queue.prefix}:`],
  });
}

function answer({ config }: Observer, { folder, manifest }: CreatedArchive): Answer {
  const location = createFileSystemStore(config.archive.dir).location();
  const bytes = manifest.segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const rows = manifest.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
  const tables = new Set(manifest.chunks.map(({ table }) => table)).size;
  return {
    exitCode: EXIT.done,
    document: {
      tenantId: manifest.tenant.id,
      tenantLabel: manifest.tenant.label,
      location,
      folder,
      bytes,
      rows,
      tables,
      keys: manifest.keys.count,
      digest: manifest.digest,
    },
    text: [
      `${manifest.tenant.label} (${manifest.tenant.id}): ${plural(rows, 'row')} of ${plural(tables, 'table')} and ${plural(manifest.keys.count, 'Redis key')}, ${formatBytes(bytes)}`,
      `at ${location}/${folder}`,
      `Next: tenant-purge archive check ${folder}`,
    ].join('\n'),
  };
}
