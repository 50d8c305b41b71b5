import type { Redis } from 'ioredis';
import { createKeyOwner } from './key-owner.ts';
import { type KeyTemplate } from './key-template.ts';
import { scanKeyspace } from './keyspace.ts';
import { scanPattern } from './scan-pattern.ts';

/**
 * Keys per tenant, in one pass over the keyspace; every id of `tenantIds` has an entry, 0 too.
 * Read-only. While the server's table is being resized a key may be counted twice, but a tenant
 * without keys always counts 0.
 */
export async function countTenantKeys<Id extends string>(
  redis: Redis,
  templates: readonly KeyTemplate[],
  tenantIds: ReadonlySet<Id>,
  options: { readonly excludePrefixes: readonly string[]; readonly signal?: AbortSignal },
): Promise<Map<Id, number>> {
  const counts = new Map([...tenantIds].map((id): [Id, number] => [id, 0]));
  if (templates.length === 0 || tenantIds.size === 0) return counts;
  const ownerOf = createKeyOwner({ templates, tenantIds, ...options });
  for await (const page of scanKeyspace(redis, { pattern: scanPattern(templates) })) {
    options.signal?.throwIfAborted();
    for (const key of page.keys) {
      const owner = ownerOf(key);
      if (owner !== null) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
  }
  return counts;
}
