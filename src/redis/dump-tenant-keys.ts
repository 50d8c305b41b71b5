import type { Redis } from 'ioredis';
import { type DumpedKey, dumpKeys } from './archive-keys.ts';
import { toKeyBytes } from './byte-text.ts';
import { createKeyOwner } from './key-owner.ts';
import type { KeyTemplate } from './key-template.ts';
import { scanKeyspace } from './keyspace.ts';
import { scanPattern } from './scan-pattern.ts';

/** Keys in one pipeline of DUMPs. */
const PIPELINE_KEYS = 500;

/**
 * Dumps of a tenant's keys with the time at which they expire, in pages, by one pass over the keyspace.
 * Reads only. Not one moment: a key that changes meanwhile is as it was when its turn came; one that
 * SCAN meets twice comes twice.
 * @throws PurgeError REDIS_UNREACHABLE, PRIVILEGE_MISSING
 */
export async function* dumpTenantKeys<Id extends string>(
  redis: Redis,
  templates: readonly KeyTemplate[],
  tenantId: Id,
  options: { readonly excludePrefixes: readonly string[] },
): AsyncGenerator<readonly DumpedKey<Id>[], void, undefined> {
  const ownerOf = createKeyOwner({ templates, tenantIds: new Set([tenantId]), ...options });
  let waiting: Buffer[] = [];
  const dump = async (): Promise<DumpedKey<Id>[]> => {
    const keys = waiting;
    waiting = [];
    return dumpKeys(redis, [{ id: tenantId, keys }]);
  };
  for await (const page of scanKeyspace(redis, { pattern: scanPattern(templates) })) {
    for (const key of page.keys) {
      if (ownerOf(key) === tenantId) waiting.push(toKeyBytes(key));
      if (waiting.length >= PIPELINE_KEYS) yield await dump();
    }
  }
  if (waiting.length > 0) yield await dump();
}
