import { z } from 'zod';
import {
  ARCHIVE_FORMAT,
  CHAIN_START,
  CHUNK_KINDS,
  COPY_SETTINGS,
  type Manifest,
  type ManifestSegment,
  type StoredChunk,
} from '../domain/archive.ts';
import { asPurgeId, asTableName, asTenantId, isUuid } from '../domain/ids.ts';
import { damaged } from './archive-error.ts';
import { chainDigest, manifestDigest } from './chain.ts';
import { isSafeName, MANIFEST_FILE } from './file-name.ts';
import type { SegmentStore } from './store.ts';

/** What a manifest is made of; the rest follows from the chunks. */
interface ManifestFacts
  extends Omit<Manifest, 'format' | 'settings' | 'writtenAt' | 'segments' | 'digest'> {
  readonly writtenAt: Date;
}

/** The manifest of what the ledger has committed. Pure: the same facts give the same manifest. */
export function makeManifest(facts: ManifestFacts): Manifest {
  const chunks = [...facts.chunks].sort((left, right) => left.seq - right.seq);
  const segments = segmentsOf(chunks);
  return {
    format: ARCHIVE_FORMAT,
    purgeId: facts.purgeId,
    tenant: facts.tenant,
    database: facts.database,
    settings: COPY_SETTINGS,
    planFingerprint: facts.planFingerprint,
    status: facts.status,
    writtenAt: facts.writtenAt.toISOString(),
    layouts: facts.layouts,
    groups: facts.groups,
    chunks,
    segments,
    keys: facts.keys,
    digest: manifestDigest(segments),
  };
}

/** The segments that chunks lie in, by name, each up to its last chunk. */
export function segmentsOf(chunks: readonly StoredChunk[]): ManifestSegment[] {
  const segments = new Map<string, ManifestSegment>();
  for (const { segment: name, offset, length, chain } of chunks) {
    const bytes = offset + length;
    if ((segments.get(name)?.bytes ?? -1) < bytes) segments.set(name, { name, bytes, chain });
  }
  return [...segments.values()].sort(byName);
}

/** One thing that does not fit together. */
interface ChunkFault {
  readonly chunk: StoredChunk;
  readonly what: string;
}

/**
 * Whether chunks fill their segments without a gap and each continues the digest chain of the one before
 * it. Says nothing about the bytes. Pure.
 */
export function findChunkFaults(chunks: readonly StoredChunk[]): ChunkFault[] {
  const faults: ChunkFault[] = [];
  const ends = new Map<string, { offset: number; chain: string }>();
  for (const chunk of [...chunks].sort(byPlace)) {
    const before = ends.get(chunk.segment) ?? { offset: 0, chain: CHAIN_START };
    if (chunk.offset !== before.offset) {
      faults.push({
        chunk,
        what: `begins at ${chunk.offset}, the one before ends at ${before.offset}`,
      });
    }
    if (chainDigest(before.chain, chunk.sha256) !== chunk.chain) {
      faults.push({ chunk, what: 'does not continue the digest chain of its segment' });
    }
    ends.set(chunk.segment, { offset: chunk.offset + chunk.length, chain: chunk.chain });
  }
  return faults;
}

/**
 * The manifest of a folder, its digests checked against each other; null where it has none.
 * @throws PurgeError ARCHIVE_DAMAGED
 */
export async function readManifest(store: SegmentStore, folder: string): Promise<Manifest | null> {
  const bytes = await store.get(folder, MANIFEST_FILE);
  return bytes === null
    ? null
    : parseManifest(bytes.toString('utf8'), `${store.location(folder)}/${MANIFEST_FILE}`);
}

/**
 * @param location names the file in errors
 * @throws PurgeError ARCHIVE_DAMAGED
 */
export function parseManifest(text: string, location: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw damaged(`${location} is no JSON.`, { path: location }, { cause: error });
  }
  const format = z.looseObject({ format: z.number() }).safeParse(json).data?.format;
  if (format !== undefined && format !== ARCHIVE_FORMAT) {
    throw damaged(
      `${location} has format ${format}; this program knows ${ARCHIVE_FORMAT}.`,
      { path: location, format },
      { remedy: 'Use the version of this program that wrote the archive, or a newer one.' },
    );
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    throw damaged(
      `${location} is no manifest:\n${z.prettifyError(parsed.error)}`,
      { path: location },
      { cause: parsed.error },
    );
  }
  const manifest = parsed.data;
  const what = disagreementIn(manifest);
  if (what !== null) throw damaged(`${location} contradicts itself: ${what}.`, { path: location });
  return manifest;
}

function disagreementIn(manifest: Manifest): string | null {
  const [fault] = findChunkFaults(manifest.chunks);
  if (fault !== undefined) {
    return `the chunk at ${fault.chunk.offset} of ${fault.chunk.segment} ${fault.what}`;
  }
  const segments = segmentsOf(manifest.chunks);
  if (JSON.stringify(segments) !== JSON.stringify([...manifest.segments].sort(byName))) {
    return 'its segments are not those of its chunks';
  }
  if (manifestDigest(segments) !== manifest.digest) return 'its digest is not that of its segments';
  const layouts = new Set(manifest.layouts.map(({ id }) => id));
  const stray = manifest.chunks.find(({ layout }) => !layouts.has(layout));
  if (stray !== undefined) return `${stray.table} has rows of a layout ${stray.layout} it lacks`;
  return null;
}

const byName = (left: { name: string }, right: { name: string }): number =>
  left.name < right.name ? -1 : 1;

const byPlace = (left: StoredChunk, right: StoredChunk): number =>
  left.segment === right.segment
    ? left.offset - right.offset
    : left.segment < right.segment
      ? -1
      : 1;

const text = z.string();
const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const table = text.min(1).transform(asTableName);

const storedChunk = {
  // It becomes a path, and a word in a shell's command.
  segment: text.refine(isSafeName, 'is no name of a segment'),
  offset: count,
  length: count,
  rawBytes: count,
  sha256: digest,
  chain: digest,
};

const layoutSchema = z.object({
  id: text.regex(/^[0-9a-f]{16}$/),
  table,
  relation: table,
  columns: z.array(
    z.object({
      name: text,
      type: text,
      generated: z.boolean(),
      identity: z.enum(['always', 'by default']).nullable(),
    }),
  ),
  primaryKey: z.array(text),
});

const chunkSchema = z.object({
  ...storedChunk,
  seq: count,
  kind: z.enum(CHUNK_KINDS),
  table,
  layout: text,
  rows: count,
  fence: count,
  level: text,
  step: text,
  goesLater: z.boolean(),
});

const manifestSchema: z.ZodType<Manifest> = z.object({
  format: z.literal(ARCHIVE_FORMAT),
  purgeId: text.refine(isUuid, 'is no uuid').transform(asPurgeId).nullable(),
  tenant: z.object({ table, key: text, id: text.transform(asTenantId), label: text }),
  database: z.object({ identity: text, version: count, searchPath: text }),
  settings: z.record(text, text),
  planFingerprint: text,
  status: text,
  writtenAt: z.iso.datetime(),
  layouts: z.array(layoutSchema),
  groups: z.array(z.array(table)),
  chunks: z.array(chunkSchema),
  segments: z.array(z.object({ name: storedChunk.segment, bytes: count, chain: digest })),
  keys: z.object({
    count,
    chunks: z.array(z.object({ ...storedChunk, sweepId: count, keys: count })),
  }),
  digest,
});
