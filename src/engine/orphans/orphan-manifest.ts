import { manifestDigest } from '../../archive/chain.ts';
import { MANIFEST_FILE } from '../../archive/file-name.ts';
import { segmentsOf } from '../../archive/manifest.ts';
import type { SegmentStore } from '../../archive/store.ts';
import { ARCHIVE_FORMAT } from '../../domain/archive.ts';
import type { OrphanChunk, OrphanRun } from '../../postgres/ledger/orphan-runs.ts';

/** What tells a run's manifest from a purge's. */
const KIND = 'redis-orphans';

/**
 * `manifest.json` of a run: what a reader of the folder needs. Says what the ledger says, so it may be
 * written again at any time. @returns its digest
 */
export async function writeOrphanManifest(
  store: SegmentStore,
  run: OrphanRun,
  facts: {
    readonly chunks: readonly OrphanChunk[];
    readonly status: 'completed' | 'interrupted';
  },
): Promise<string> {
  const { chunks } = facts;
  const segments = segmentsOf(chunks);
  const digest = manifestDigest(segments);
  const manifest = {
    format: ARCHIVE_FORMAT,
    kind: KIND,
    runId: run.id,
    operator: run.operator,
    tenantTable: run.tenantTable,
    database: { identity: run.databaseIdentity },
    redis: { identity: run.redisIdentity, endpoint: run.redisEndpoint },
    templates: run.templates,
    startedAt: run.startedAt.toISOString(),
    writtenAt: new Date().toISOString(),
    status: facts.status,
    keys: keysOf(chunks),
    chunks,
    segments,
    digest,
  };
  await store.put(run.folder, MANIFEST_FILE, `${JSON.stringify(manifest, null, 2)}\n`);
  return digest;
}

/**
 * How the manifest in the run's folder differs from what the ledger has committed: the rest of a
 * sentence about the file; null where it does not.
 */
export async function whyOtherManifest(
  store: SegmentStore,
  run: Pick<OrphanRun, 'id' | 'folder'>,
  chunks: readonly OrphanChunk[],
): Promise<string | null> {
  const bytes = await store.get(run.folder, MANIFEST_FILE);
  if (bytes === null) return 'is missing';
  let manifest: unknown;
  try {
    manifest = JSON.parse(bytes.toString('utf8'));
  } catch {
    return 'is no JSON';
  }
  const { format, kind, runId, digest, keys } = (manifest ?? {}) as Readonly<
    Record<string, unknown>
  >;
  if (format !== ARCHIVE_FORMAT) {
    return `has format ${JSON.stringify(format)}; this program knows ${ARCHIVE_FORMAT}`;
  }
  if (kind !== KIND || runId !== run.id) return 'is not that of this run';
  const expected = manifestDigest(segmentsOf(chunks));
  if (digest !== expected) {
    return `has the digest ${JSON.stringify(digest)}; the ledger has ${expected}`;
  }
  const count = keysOf(chunks);
  return keys === count ? null : `counts ${JSON.stringify(keys)} keys; the ledger has ${count}`;
}

const keysOf = (chunks: readonly OrphanChunk[]): number =>
  chunks.reduce((sum, { keys }) => sum + keys, 0);
