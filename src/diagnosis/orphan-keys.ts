import { PurgeError } from '../domain/errors.ts';
import { toByteTemplate, toByteText } from '../redis/byte-text.ts';
import type { Redis } from '../redis/connect.ts';
import { IDENTITY_KEY } from '../redis/identity.ts';
import { type KeyTemplate, matchTenant } from '../redis/key-template.ts';
import { scanKeyspace } from '../redis/keyspace.ts';
import { scanPattern } from '../redis/scan-pattern.ts';

/** Keys whose tenant is not in the tenant table. */
export interface OrphanKeys {
  readonly keys: number;
  /** Ids in them that are no tenant's. */
  readonly tenants: number;
  readonly samples: readonly string[];
}

interface OrphanQuestion {
  readonly redis: Redis;
  readonly templates: readonly KeyTemplate[];
  /** Prefixes of keys that belong to nobody, e.g. the queue's. */
  readonly excludePrefixes: readonly string[];
  /** As PostgreSQL prints it, e.g. `uuid`: what cannot be an id is none. */
  readonly keyType: string;
  readonly tenantIds: ReadonlySet<string>;
  /** Those of the ids that are tenants by now: some signed up while the keys were counted. */
  readonly existing: (ids: readonly string[]) => Promise<readonly string[]>;
  readonly signal?: AbortSignal | undefined;
}

const SAMPLES = 5;
const LOOKED_UP_AT_ONCE = 1_000;

/**
 * Counts keys that a template gives for an id which is no tenant's, in one pass over the keyspace. A key
 * that fits an existing tenant by any reading is that tenant's. Reads only.
 */
export async function countOrphanKeys(question: OrphanQuestion): Promise<OrphanKeys> {
  const { redis, templates, signal } = question;
  const orphanOf = createOrphanReader(question);
  const keysById = new Map<string, number>();
  for await (const page of scanKeyspace(redis, { pattern: scanPattern(templates) })) {
    if (signal?.aborted === true) {
      throw new PurgeError('STOP_ASKED', 'Interrupted. Nothing was changed.');
    }
    for (const key of page.keys) {
      const id = orphanOf(key);
      if (id !== null) keysById.set(id, (keysById.get(id) ?? 0) + 1);
    }
  }
  await forgetNewcomers(keysById, question.existing);
  const most = [...keysById].sort(
    ([left, few], [right, many]) => many - few || (left < right ? -1 : 1),
  );
  return {
    keys: most.reduce((sum, [, keys]) => sum + keys, 0),
    tenants: most.length,
    samples: most.slice(0, SAMPLES).map(([id]) => id),
  };
}

/** The id (text) in a key (byte text) that is no tenant's; null where the key is somebody's or nobody's. */
export function createOrphanReader(
  question: Pick<OrphanQuestion, 'templates' | 'excludePrefixes' | 'keyType' | 'tenantIds'>,
): (key: string) => string | null {
  const templates = question.templates.map(toByteTemplate);
  const excluded = question.excludePrefixes.map(toByteText);
  const known = new Set([...question.tenantIds].map(toByteText));
  const isId = idForm(question.keyType);
  return (key) => {
    if (key === IDENTITY_KEY || excluded.some((prefix) => key.startsWith(prefix))) return null;
    const candidates: string[] = [];
    const owner = matchTenant(templates, key, (id) => {
      if (known.has(id)) return true;
      if (isId(id)) candidates.push(id);
      return false;
    });
    if (owner !== null) return null;
    candidates.sort((left, right) => left.length - right.length);
    // The shortest reading: `tenant:7:session:9` is tenant 7's, whoever `7:session` may be.
    const id = candidates.find((one) => matchTenant(templates, key, (other) => other === one));
    return id === undefined ? null : Buffer.from(id, 'latin1').toString('utf8');
  };
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const INTEGER = /^-?\d{1,19}$/;

function idForm(keyType: string): (id: string) => boolean {
  if (keyType === 'uuid') return (id) => UUID.test(id);
  if (['smallint', 'integer', 'bigint'].includes(keyType)) return (id) => INTEGER.test(id);
  return () => true;
}

async function forgetNewcomers(
  keysById: Map<string, number>,
  existing: OrphanQuestion['existing'],
): Promise<void> {
  const ids = [...keysById.keys()];
  for (let start = 0; start < ids.length; start += LOOKED_UP_AT_ONCE) {
    for (const id of await existing(ids.slice(start, start + LOOKED_UP_AT_ONCE))) {
      keysById.delete(id);
    }
  }
}
