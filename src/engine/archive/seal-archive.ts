import { MANIFEST_FILE, RESTORE_FILE } from '../../archive/file-name.ts';
import { makeManifest } from '../../archive/manifest.ts';
import { renderRestoreSql } from '../../archive/restore-sql.ts';
import type { ArchiveLayout, Manifest } from '../../domain/archive.ts';
import { asTableName, type CampaignId, type PurgeId, type TableName } from '../../domain/ids.ts';
import { deletesOf, type Plan } from '../../domain/plan.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import type { ArchiveRecord } from '../../postgres/ledger/archives.ts';
import type { EngineParts } from '../parts.ts';
import type { ArchiveParts } from './archive-parts.ts';

type SealParts = Pick<EngineParts, 'purges' | 'campaigns' | 'failpoint' | 'log'>;

/**
 * Writes manifest and `restore.sql` of a purge that has ended, from what the ledger has committed, and
 * notes that they are there. Idempotent; a failure is logged, and the reconciler tries again: the
 * ledger alone is enough to restore.
 */
export async function sealArchive(
  parts: SealParts,
  archive: ArchiveParts,
  purgeId: PurgeId,
): Promise<void> {
  try {
    const record = await archive.ledger.find(purgeId);
    if (record === null || record.sealedAt !== null || record.expiredAt !== null) return;
    // Another place is another process's to write to.
    if ((await archive.store.knownIdentity()) !== record.place) return;
    const purge = await parts.purges.find(purgeId);
    if (purge === null || purge.endedAt === null) return;
    await parts.failpoint('before-manifest');
    const manifest = await describeArchive(parts, archive, { record, purge });
    const { store } = archive;
    // The ledger has all of it, and `archive check` misses what a crash of the machine takes back:
    // syncing both cost 1,845 small purges a fifth of their time.
    const fleeting = { durable: false };
    await store.put(record.folder, RESTORE_FILE, renderRestoreSql(manifest), fleeting);
    const text = `${JSON.stringify(manifest, null, 1)}\n`;
    await store.put(record.folder, MANIFEST_FILE, text, fleeting);
    const bytes = manifest.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    await archive.ledger.markSealed(purgeId, manifest.digest, bytes);
  } catch (error) {
    parts.log.warn({ purgeId, err: error }, 'the manifest of the archive could not be written');
  }
}

/** Seals what ended while nobody was there to do it. @returns how many were looked at */
export async function sealForgotten(
  parts: SealParts,
  archive: ArchiveParts,
  limit: number,
): Promise<number> {
  const forgotten = await archive.ledger.unsealed(limit);
  for (const { purgeId } of forgotten) await sealArchive(parts, archive, purgeId);
  return forgotten.length;
}

/** The manifest as the ledger gives it now; of a purge under way, what is committed so far. */
export async function describeArchive(
  parts: Pick<EngineParts, 'campaigns'>,
  archive: ArchiveParts,
  of: { readonly record: ArchiveRecord; readonly purge: PurgeRecord },
): Promise<Manifest> {
  const { record, purge } = of;
  const { campaign, plan } = await approvedPlan(parts.campaigns, purge.campaignId);
  const [chunks, keyChunks] = await Promise.all([
    archive.ledger.chunks(purge.id),
    archive.ledger.keyChunks(purge.id),
  ]);
  const layouts = await layoutsOf(archive.ledger, purge.id, chunks);
  return makeManifest({
    purgeId: purge.id,
    tenant: {
      table: asTableName(purge.tenantTable),
      key: plan.tenant.key,
      id: purge.tenantId,
      label: purge.tenantLabel,
    },
    database: {
      identity: campaign.databaseIdentity,
      version: archive.databaseVersion,
      searchPath: record.searchPath,
    },
    planFingerprint: campaign.planFingerprint,
    status: purge.status,
    writtenAt: new Date(),
    groups: restoreGroups(plan),
    layouts,
    chunks,
    keys: { count: purge.redisKeysDeleted, chunks: keyChunks },
  });
}

/** A layout's id is a digest of it, and a campaign's purges have the same ones: 30 KB for each of them. */
const layoutsRead = new WeakMap<ArchiveParts['ledger'], Map<string, ArchiveLayout>>();
const LAYOUTS_KEPT_MAX = 10_000;

/** Those that the chunks have, by id. */
async function layoutsOf(
  ledger: ArchiveParts['ledger'],
  purgeId: PurgeId,
  chunks: Manifest['chunks'],
): Promise<ArchiveLayout[]> {
  const known = layoutsRead.get(ledger) ?? new Map<string, ArchiveLayout>();
  layoutsRead.set(ledger, known);
  const ids = [...new Set(chunks.map(({ layout }) => layout))].sort();
  if (!ids.every((id) => known.has(id))) {
    if (known.size > LAYOUTS_KEPT_MAX) known.clear();
    for (const layout of await ledger.layouts(purgeId)) known.set(layout.id, layout);
  }
  return ids.map((id) => known.get(id)).filter((layout) => layout !== undefined);
}

interface Approved {
  readonly campaign: CampaignRecord;
  readonly plan: Plan;
}

/** Neither changes; a plan of 29 tables takes as long to read as a small tenant to delete. */
const approved = new WeakMap<SealParts['campaigns'], Map<string, Promise<Approved>>>();
const APPROVED_MAX = 8;

function approvedPlan(campaigns: SealParts['campaigns'], id: CampaignId): Promise<Approved> {
  const known = approved.get(campaigns) ?? new Map<string, Promise<Approved>>();
  approved.set(campaigns, known);
  const found = known.get(id);
  if (found !== undefined) return found;
  if (known.size >= APPROVED_MAX) known.clear();
  const read = campaigns.get(id).then(async (campaign) => ({
    campaign,
    plan: await campaigns.plan(campaign.planFingerprint),
  }));
  known.set(id, read);
  read.catch(() => known.delete(id));
  return read;
}

/**
 * Tables in the order in which their rows can come back, parents first; those of a circle together.
 * The order of the deletes, backwards: what kept it from existing is archived as changed rows.
 */
function restoreGroups(plan: Plan): TableName[][] {
  return plan.levels
    .flatMap(({ steps }) => steps)
    .map((step) => deletesOf(step).map(({ table }) => table))
    .filter((tables) => tables.length > 0)
    .reverse();
}
