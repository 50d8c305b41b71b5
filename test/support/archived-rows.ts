import { gunzipSync } from 'node:zlib';
import type { ArchiveChunk } from '../../src/domain/archive.ts';
import type { PurgeId } from '../../src/domain/ids.ts';
import type { PurgeWorld } from './purge-world.ts';

/** Lines of one chunk, as they lie in its file; read without the program's own reader. */
export async function linesOf(
  world: PurgeWorld,
  purgeId: PurgeId,
  chunk: ArchiveChunk,
): Promise<string[]> {
  const record = await world.actor.archive.ledger.find(purgeId);
  const bytes = await world.actor.archive.store.read(record?.folder ?? '', chunk.segment, chunk);
  return gunzipSync(bytes).toString('utf8').split('\n').slice(0, -1);
}

/** Archived lines per table and kind, sorted. */
export async function archivedLines(
  world: PurgeWorld,
  purgeId: PurgeId,
  kind: ArchiveChunk['kind'],
): Promise<Record<string, string[]>> {
  const lines: Record<string, string[]> = {};
  for (const chunk of await world.actor.archive.ledger.chunks(purgeId)) {
    if (chunk.kind !== kind) continue;
    lines[chunk.table] = [...(lines[chunk.table] ?? []), ...(await linesOf(world, purgeId, chunk))];
  }
  for (const some of Object.values(lines)) some.sort();
  return lines;
}

/** Archived Redis keys of the tenant by name, with the length of what DUMP gave; none twice. */
export async function archivedKeys(
  world: PurgeWorld,
  purgeId: PurgeId,
  tenantId: string,
): Promise<Record<string, number>> {
  const { ledger, store } = world.actor.archive;
  const keys: Record<string, number> = {};
  for (const chunk of await ledger.keyChunks(purgeId)) {
    const bytes = await store.read('sweeps', chunk.segment, chunk);
    for (const line of gunzipSync(bytes).toString('utf8').split('\n').slice(0, -1)) {
      const archived = JSON.parse(line);
      if (archived.tenantId !== tenantId) continue;
      keys[Buffer.from(archived.key, 'base64').toString('utf8')] = archived.dump.length;
    }
  }
  return keys;
}
