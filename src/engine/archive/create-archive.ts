import {
  CREATED_FOLDER,
  isSafeName,
  keySegmentName,
  MANIFEST_FILE,
  RESTORE_FILE,
  rowSegmentName,
  safeName,
} from '../../archive/file-name.ts';
import { makeManifest } from '../../archive/manifest.ts';
import { renderRestoreSql } from '../../archive/restore-sql.ts';
import { SegmentWriter } from '../../archive/segment-writer.ts';
import type { SegmentStore } from '../../archive/store.ts';
import type {
  ArchiveChunk,
  ArchiveLayout,
  BatchSink,
  KeyChunk,
  Manifest,
} from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { TableName, TenantId } from '../../domain/ids.ts';
import { type DeleteStep, deletesOf } from '../../domain/plan.ts';
import type { TenantSnapshot } from '../../postgres/rows/tenant-snapshot.ts';
import type { SweptKey } from '../sweep.ts';
import { createdGroups } from './created-groups.ts';
import { keyLine } from './key-lines.ts';

/** Text of one chunk: a reader holds a chunk's compressed bytes in memory. */
const CHUNK_BYTES = 16 * 1024 * 1024;
/** Left free besides what the archive may need. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

interface CreateParts {
  readonly store: SegmentStore;
  readonly databaseIdentity: string;
  readonly databaseVersion: number;
  /** Bytes that so many rows of each table take. */
  readonly bytesOf: (rows: Readonly<Record<string, number>>) => Promise<number>;
  /** The tenant's keys, in pages; null where the configuration names none. */
  readonly keys: AsyncIterable<readonly SweptKey[]> | null;
}

export interface CreatedArchive {
  readonly folder: string;
  readonly manifest: Manifest;
}

/** `42-20260301T040506Z`. */
export function createdName(tenantId: TenantId, now: Date): string {
  const stamp = now.toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');
  const name = `${safeName(tenantId)}-${stamp}`;
  return isSafeName(name) ? name : `_${name}`;
}

/**
 * Backs up a tenant that stays: its rows at one moment, in the format of a purge's archive. The Redis
 * keys follow; they have no common moment. What is broken off has no manifest.
 * @throws PurgeError TENANT_UNKNOWN, HAZARD_BLOCKS, STATUS_CONFLICT where the name is taken,
 *   ARCHIVE_SPACE, ARCHIVE_FAILED
 */
export async function createArchive(
  parts: CreateParts,
  snapshot: TenantSnapshot,
  of: { readonly tenantId: TenantId; readonly name: string },
): Promise<CreatedArchive> {
  const { store } = parts;
  const { plan } = snapshot;
  const { tenantId } = of;
  const folder = `${CREATED_FOLDER}/${of.name}`;
  refuseBlocked(snapshot);
  const tenant = await snapshot.tenant(tenantId);
  if (tenant === null) {
    throw new PurgeError('TENANT_UNKNOWN', `No tenant has the id ${tenantId}.`, {
      details: { tenantId },
    });
  }
  await refuseTaken(store, of.name);
  const steps = plan.levels.flatMap((level) =>
    level.steps.flatMap((step) => deletesOf(step)).map((step) => ({ step, level: level.name })),
  );
  const expected: Record<string, number> = {};
  for (const { step } of steps) expected[step.table] = await snapshot.count(step, tenantId);
  await refuseWithoutSpace(parts, expected);

  await store.identity();
  const chunks: ArchiveChunk[] = [];
  const layouts = new Map<string, ArchiveLayout>();
  for (const { step, level } of steps) {
    if (expected[step.table] === 0) continue;
    const table = await copyTable({ store, folder }, snapshot, { step, level, tenantId });
    for (const layout of table.layouts) layouts.set(layout.id, layout);
    for (const chunk of table.chunks) chunks.push({ ...chunk, seq: chunks.length + 1 });
    const rows = table.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    if (rows !== expected[step.table]) {
      throw new PurgeError(
        'INTERNAL',
        `${step.table}: ${rows} rows were copied, the same snapshot counts ${expected[step.table]}.`,
      );
    }
  }
  const keys = await copyKeys({ store, folder }, parts.keys);
  const manifest = makeManifest({
    purgeId: null,
    tenant: {
      table: plan.tenant.table,
      key: plan.tenant.key,
      id: tenantId,
      label: tenant.label,
    },
    database: {
      identity: parts.databaseIdentity,
      version: parts.databaseVersion,
      searchPath: await snapshot.searchPath(),
    },
    planFingerprint: plan.fingerprint,
    status: 'created',
    writtenAt: new Date(),
    groups: createdGroups(plan, await snapshot.foreignKeys()),
    layouts: [...layouts.values()],
    chunks,
    keys,
  });
  await store.put(folder, RESTORE_FILE, renderRestoreSql(manifest));
  await store.put(folder, MANIFEST_FILE, `${JSON.stringify(manifest, null, 1)}\n`);
  return { folder, manifest };
}

interface Target {
  readonly store: SegmentStore;
  readonly folder: string;
}

/** The tenant's rows of one table, leaf by leaf, in chunks of whole lines. */
async function copyTable(
  { store, folder }: Target,
  snapshot: TenantSnapshot,
  of: { readonly step: DeleteStep; readonly level: string; readonly tenantId: TenantId },
): Promise<{ layouts: readonly ArchiveLayout[]; chunks: Omit<ArchiveChunk, 'seq'>[] }> {
  const { step, level, tenantId } = of;
  const sources = await snapshot.sources(step);
  const layouts = await snapshot.layouts(sources);
  const writer = new SegmentWriter({
    store,
    folder,
    nameOf: (part) => rowSegmentName(0, step.table, part),
  });
  try {
    const sink = writer.open();
    const out = new LineChunks(sink);
    for (const layout of layouts) {
      out.begin(layout);
      await snapshot.copy(step, layout.relation, tenantId, out);
    }
    const stored = await sink.store();
    const used = new Set<ArchiveLayout>();
    const chunks = stored.map(({ part, ...chunk }) => {
      const { layout, rows } = out.chunk(part);
      used.add(layout);
      return {
        ...chunk,
        kind: 'deleted' as const,
        table: step.table,
        layout: layout.id,
        rows,
        fence: 0,
        level,
        step: `delete ${step.table}`,
        goesLater: false,
      };
    });
    return { layouts: [...used], chunks };
  } finally {
    await writer.close();
  }
}

/** Cuts COPY text into the sink's parts, at ends of lines; each part has rows of one layout. */
class LineChunks {
  readonly #sink: BatchSink;
  readonly #chunks: { layout: ArchiveLayout; rows: number; bytes: number }[] = [];
  #atLineEnd = true;

  constructor(sink: BatchSink) {
    this.#sink = sink;
  }

  begin(layout: ArchiveLayout): void {
    this.#chunks.push({ layout, rows: 0, bytes: 0 });
  }

  chunk(part: number): { readonly layout: ArchiveLayout; readonly rows: number } {
    const found = this.#chunks[part];
    if (found === undefined) throw new RangeError(`no part ${part} was written`);
    return found;
  }

  write(bytes: Buffer): boolean {
    let current = this.#current();
    if (this.#atLineEnd && current.bytes >= CHUNK_BYTES) {
      this.begin(current.layout);
      current = this.#current();
    }
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
      current.rows += 1;
    }
    current.bytes += bytes.byteLength;
    this.#atLineEnd = bytes.at(-1) === NEWLINE;
    return this.#sink.write(this.#chunks.length - 1, bytes);
  }

  drained(): Promise<void> {
    return this.#sink.drained();
  }

  #current(): { layout: ArchiveLayout; rows: number; bytes: number } {
    const current = this.#chunks.at(-1);
    if (current === undefined) throw new RangeError('no layout was begun');
    return current;
  }
}

async function copyKeys(
  { store, folder }: Target,
  pages: AsyncIterable<readonly SweptKey[]> | null,
): Promise<Manifest['keys']> {
  if (pages === null) return { count: 0, chunks: [] };
  const writer = new SegmentWriter({ store, folder, nameOf: (part) => keySegmentName(0, 0, part) });
  try {
    const sink = writer.open();
    const seen = new Set<string>();
    const counts: number[] = [];
    for await (const page of pages) {
      if (page.length === 0) continue;
      counts.push(page.length);
      for (const key of page) {
        seen.add(key.key.toString('latin1'));
        if (!sink.write(counts.length - 1, keyLine(key))) await sink.drained();
      }
    }
    const chunks = (await sink.store()).map(
      ({ part, ...chunk }): KeyChunk => ({ ...chunk, sweepId: 0, keys: counts[part] ?? 0 }),
    );
    return { count: seen.size, chunks };
  } finally {
    await writer.close();
  }
}

/** What the planner does not understand might miss rows: a backup with a gap is worse than none. */
function refuseBlocked({ plan }: TenantSnapshot): void {
  const blocking = plan.hazards.filter(({ severity }) => severity === 'blocks');
  if (blocking.length === 0) return;
  const lines = blocking.map(({ type, message, remedy }) => `  ${type}  ${message} ${remedy}`);
  throw new PurgeError(
    'HAZARD_BLOCKS',
    `Nobody can say which rows are the tenant's:\n${lines.join('\n')}`,
    { details: { hazards: blocking } },
  );
}

async function refuseTaken(store: SegmentStore, name: string): Promise<void> {
  if (!(await store.folders(CREATED_FOLDER)).includes(name)) return;
  throw new PurgeError(
    'STATUS_CONFLICT',
    `${store.location()} has a folder ${CREATED_FOLDER}/${name} already.`,
    { details: { name }, remedy: 'Choose another name with --out, or leave it out.' },
  );
}

async function refuseWithoutSpace(
  { store, bytesOf }: CreateParts,
  rows: Readonly<Record<TableName | string, number>>,
): Promise<void> {
  const free = await store.freeBytes();
  if (free === null) return;
  const needed = (await bytesOf(rows)) + RESERVE_BYTES;
  if (free >= needed) return;
  throw new PurgeError(
    'ARCHIVE_SPACE',
    `The archive may take ${Math.ceil(needed / 1024 / 1024)} MiB and ${store.location()} has ${Math.floor(free / 1024 / 1024)} MiB free.`,
    {
      details: { location: store.location(), freeBytes: free, neededBytes: Math.ceil(needed) },
      remedy: 'Free space where the archive lies, or set archive.dir to a larger place.',
    },
  );
}
