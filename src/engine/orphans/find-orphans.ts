import { PurgeError } from '../../domain/errors.ts';
import type { OrphanVerdict } from '../../domain/orphans.ts';
import type { KeyReading } from '../../redis/key-reading.ts';
import type { PassPage } from '../../redis/keyspace-pass.ts';
import { type JudgeParts, judgeIds } from './judge.ts';
import { OrphanTally } from './tally.ts';

export interface FindParts extends JudgeParts {
  /** Pages of keys (byte text), one pass. */
  readonly pages: () => AsyncIterable<PassPage>;
  readonly read: (key: string) => KeyReading;
}

/** A key whose id is told for sure and is nobody's. */
export interface OrphanKey {
  readonly id: string;
  /** Byte text. */
  readonly key: string;
}

/** Counts, in one pass. Reads only. @throws PurgeError STOP_ASKED */
export async function findOrphans(
  parts: FindParts,
  signal: AbortSignal | undefined,
): Promise<OrphanTally> {
  let tally = new OrphanTally();
  for await (const page of parts.pages()) {
    if (signal?.aborted === true) {
      throw new PurgeError('STOP_ASKED', 'Interrupted. Nothing was changed.');
    }
    if (page.isAnew) tally = new OrphanTally();
    for (const { id } of await orphansOfPage(parts, page.keys, tally)) tally.orphan(id);
  }
  return tally;
}

/** The orphans among the keys; all others are booked. */
export async function orphansOfPage(
  parts: FindParts,
  keys: readonly string[],
  tally: OrphanTally,
): Promise<OrphanKey[]> {
  tally.scanned(keys.length);
  const readings = keys.map((key) => ({ key, reading: parts.read(key) }));
  const asked = new Set(
    readings.flatMap(({ reading }) => (reading.kind === 'ids' ? reading.ids : [])),
  );
  const verdicts = await judgeIds(parts, [...asked]);
  const orphans: OrphanKey[] = [];
  for (const { key, reading } of readings) {
    switch (reading.kind) {
      case 'foreign':
        break;
      case 'no-id':
        tally.doubt('no-id', key);
        break;
      case 'too-many':
        tally.doubt('several-ids', key);
        break;
      case 'ids': {
        const found = settle(reading, verdicts);
        if (found === null) tally.doubt('several-ids', key);
        else if (found.verdict === 'orphan') orphans.push({ id: found.id, key });
        else tally.book(found.verdict, found.id, key);
        break;
      }
      default:
        reading satisfies never;
    }
  }
  return orphans;
}

/** Any reading that gives a tenant that exists makes it that tenant's key; else only one reading will do. */
function settle(
  reading: Extract<KeyReading, { kind: 'ids' }>,
  verdicts: ReadonlyMap<string, OrphanVerdict>,
): { readonly id: string; readonly verdict: OrphanVerdict } | null {
  const owner = reading.ids.find((id) => verdicts.get(id) === 'owned');
  if (owner !== undefined) return { id: owner, verdict: 'owned' };
  const [id] = reading.ids;
  const verdict = id === undefined ? undefined : verdicts.get(id);
  if (!reading.isSure || id === undefined || verdict === undefined) return null;
  return { id, verdict };
}
