import { createHash, type Hash } from 'node:crypto';
import type { ArchiveChunk, ArchivedKey, KeyChunk, Manifest } from '../domain/archive.ts';
import type { TenantId } from '../domain/ids.ts';
import { sha256Of } from './chain.ts';
import { MANIFEST_FILE, RESTORE_FILE, safeName } from './file-name.ts';
import { type RestoreForm, renderRestoreSql } from './restore-sql.ts';
import { type Stage, stagesOf } from './restore-sql-stages.ts';
import { copyLines, readChunk } from './segment-reader.ts';
import type { SegmentHandle, SegmentStore } from './store.ts';

const KEYS_FILE = 'redis-keys.jsonl';
const SUMS_FILE = 'SHA256SUMS';

/** The plain form's files lie in the store's own folder. */
const TOP = '';

interface PlainFormOptions {
  readonly store: SegmentStore;
  /** Where the segments of rows lie, and those of keys. */
  readonly folder: string;
  readonly keysFolder: string;
  readonly manifest: Manifest;
  /** Whose keys, where several tenants' lie in the segments. */
  readonly tenantId: TenantId;
  readonly target: SegmentStore;
  /** Compressed files, which gzip and psql read all the same. */
  readonly gzip: boolean;
}

export interface PlainFile {
  readonly name: string;
  readonly bytes: number;
  /** Rows, or keys; null for what has none. */
  readonly lines: number | null;
  readonly sha256: string;
}

/**
 * Writes committed rows as one file of COPY text a table, changed rows apart, keys as JSON lines, manifest,
 * a `restore.sql` for these files, and `SHA256SUMS`. The target must be empty.
 * @throws PurgeError ARCHIVE_DAMAGED before a byte of the damaged chunk is written; ARCHIVE_FAILED
 */
export async function writePlainForm(options: PlainFormOptions): Promise<PlainFile[]> {
  const { manifest, target } = options;
  const layouts = new Map(manifest.layouts.map((layout) => [layout.id, layout]));
  const stages = stagesOf(manifest.chunks, layouts);
  const names = fileNames(stages, options.gzip);
  const files: PlainFile[] = [];
  for (const stage of stages) {
    files.push(await writeRows(options, stage, names.get(stage.name) ?? stage.name));
  }
  files.push(await writeKeys(options));
  const form = formOf(manifest, names, options.gzip);
  const texts = [
    { name: MANIFEST_FILE, text: `${JSON.stringify(manifest, null, 1)}\n` },
    { name: RESTORE_FILE, text: renderRestoreSql(manifest, form) },
  ];
  for (const { name, text } of texts) {
    await target.put(TOP, name, text);
    const bytes = Buffer.byteLength(text);
    files.push({ name, bytes, lines: null, sha256: sha256Of(text) });
  }
  // Last: where it is, everything is.
  const sums = files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
  await target.put(TOP, SUMS_FILE, sums);
  return files;
}

/** `public.agents.copy`, `public.agents.changed.copy`; numbered where a relation's columns changed. */
function fileNames(stages: readonly Stage[], gzip: boolean): Map<string, string> {
  const taken = new Set<string>();
  return new Map(
    stages.map(({ name, kind, layout }) => {
      const base = `${safeName(layout.relation)}${kind === 'changed' ? '.changed' : ''}`;
      const ending = `.copy${gzip ? '.gz' : ''}`;
      let file = `${base}${ending}`;
      for (let number = 2; taken.has(file); number += 1) file = `${base}-${number}${ending}`;
      taken.add(file);
      return [name, file];
    }),
  );
}

const chunksOf = ({ chunks }: Manifest, { kind, layout }: Stage): ArchiveChunk[] =>
  chunks
    .filter((chunk) => chunk.kind === kind && chunk.layout === layout.id)
    .sort((left, right) => left.seq - right.seq);

function formOf(
  manifest: Manifest,
  names: ReadonlyMap<string, string>,
  gzip: boolean,
): RestoreForm {
  return {
    programs: gzip ? 'gzip, head and tail' : 'head and tail',
    copies: (stage) => {
      const file = names.get(stage.name) ?? stage.name;
      const open = gzip ? `gzip -dc ${file}` : `cat ${file}`;
      if (stage.kind === 'deleted') {
        return [{ seq: null, source: gzip ? `program '${open}'` : `'${file}'` }];
      }
      // A row may have been changed several times: the order of the chunks counts.
      let line = 1;
      return chunksOf(manifest, stage).map(({ seq, rows }) => {
        const source = `program '${open} | tail -n +${line} | head -n ${rows}'`;
        line += rows;
        return { seq, source };
      });
    },
    check: `sha256sum --quiet -c ${SUMS_FILE}`,
    digests: () => '',
  };
}

async function writeRows(
  { store, folder, manifest, target, gzip }: PlainFormOptions,
  stage: Stage,
  name: string,
): Promise<PlainFile> {
  const file = await PlainFileWriter.open(target, name);
  try {
    for (const chunk of chunksOf(manifest, stage)) {
      for await (const piece of readChunk(store, folder, chunk)) {
        if (!gzip) await file.write(piece);
      }
      // Members one behind the other are what gzip reads, too.
      if (gzip) await file.write(await store.read(folder, chunk.segment, chunk));
    }
    return await file.end(stage.rows);
  } finally {
    await file.close();
  }
}

/** Of a key that was archived more than once the last one: what was unlinked. */
async function writeKeys(options: PlainFormOptions): Promise<PlainFile> {
  const { store, keysFolder, manifest, target, tenantId } = options;
  const latest = new Map<string, string>();
  for (const chunk of [...manifest.keys.chunks].sort(bySweep)) {
    for await (const lines of copyLines(readChunk(store, keysFolder, chunk))) {
      for (const line of lines) {
        const text = line.toString('utf8');
        const key = JSON.parse(text) as ArchivedKey;
        if (key.tenantId === tenantId) latest.set(key.key, text);
      }
    }
  }
  const file = await PlainFileWriter.open(target, KEYS_FILE);
  try {
    for (const line of latest.values()) await file.write(Buffer.from(`${line}\n`, 'utf8'));
    return await file.end(latest.size);
  } finally {
    await file.close();
  }
}

const bySweep = (left: KeyChunk, right: KeyChunk): number =>
  left.sweepId - right.sweepId ||
  (left.segment === right.segment
    ? left.offset - right.offset
    : left.segment < right.segment
      ? -1
      : 1);

/** Gathers small pieces: one write for each key would cost more than the keys. */
const WRITE_BYTES = 1024 * 1024;

class PlainFileWriter {
  readonly #name: string;
  readonly #handle: SegmentHandle;
  readonly #hash: Hash = createHash('sha256');
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #bytes = 0;

  private constructor(name: string, handle: SegmentHandle) {
    this.#name = name;
    this.#handle = handle;
  }

  static async open(target: SegmentStore, name: string): Promise<PlainFileWriter> {
    const handle = await target.openSegment(TOP, name);
    if (handle === null) throw new Error(`${target.location()} has a file ${name} already`);
    return new PlainFileWriter(name, handle);
  }

  async write(bytes: Buffer): Promise<void> {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#flush();
  }

  async end(lines: number): Promise<PlainFile> {
    await this.#flush();
    await this.#handle.sync();
    return { name: this.#name, bytes: this.#bytes, lines, sha256: this.#hash.digest('hex') };
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  async #flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#bytes += bytes.byteLength;
    this.#hash.update(bytes);
    await this.#handle.append(bytes);
  }
}
