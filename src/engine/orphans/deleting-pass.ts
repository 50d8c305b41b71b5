import { PurgeError } from '../../domain/errors.ts';
import type { OrphanVerdict } from '../../domain/orphans.ts';
import type { OrphanPipeline, OrphanRun } from '../../postgres/ledger/orphan-runs.ts';
import type { DumpedKey, OwnedKeys } from '../../redis/archive-keys.ts';
import { toKeyBytes } from '../../redis/byte-text.ts';
import { readArchivedKeys } from './archived-keys.ts';
import type { DeleteParts, DeleteRequest } from './delete-parts.ts';
import { type OrphanKey, orphansOfPage } from './find-orphans.ts';
import { judgeIds } from './judge.ts';
import { lostRun, type OrphanArchive, openOrphanArchive } from './orphan-archive.ts';
import { nextPipelineKeys, PIPELINE_KEYS_FIRST } from './pipeline-size.ts';
import { OrphanTally } from './tally.ts';

/** So many do not wait for more: a page gives about as many, and a second pipeline for its rest costs as much. */
const PIPELINE_KEYS_MIN = 500;
/** Pages whose few keys wait for company; then the cursor is booked all the same. */
const PAGES_WAITING_MAX = 16;
const WRITERS_WAIT_MS = 10_000;
/** Chunks that one pipeline may leave: keys that have changed are archived once more. */
const PIPELINE_CHUNKS_MAX = 5;

/** A tenant of the pipeline turned out to be none of ours, before anything of it was unlinked. */
class NotOrphans extends Error {
  override readonly name = 'NotOrphans';
  readonly verdicts: ReadonlyMap<string, OrphanVerdict>;

  constructor(verdicts: ReadonlyMap<string, OrphanVerdict>) {
    super('not orphans');
    this.verdicts = verdicts;
  }
}

/** One process's pass of deletes; see `deleteOrphans`. */
export class DeletingPass {
  readonly tally = new OrphanTally();
  deleted = 0;
  putBack = 0;
  /** Keys that changed whenever they were to be unlinked, and stayed. */
  left = 0;
  readonly #parts: DeleteParts;
  readonly #request: DeleteRequest;
  readonly #archive: OrphanArchive;
  #waiting: OrphanKey[] = [];
  #booked = { scanned: 0, deleted: 0, putBack: 0 };
  /** Where it stands, for the ledger; nobody goes on from there. */
  #position: Pick<OrphanRun, 'serverRunId' | 'cursor'>;
  #scanned = 0;
  #pipelineKeys = PIPELINE_KEYS_FIRST;

  constructor(parts: DeleteParts, request: DeleteRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#position = request.run;
    this.#archive = openOrphanArchive(parts.store, parts.runs, request.run);
  }

  close(): Promise<void> {
    return this.#archive.close();
  }

  /** @returns false where a stop was asked for */
  async run(): Promise<boolean> {
    const { confirmed, isResumed } = this.#request;
    if (isResumed) await this.#settlePredecessor();
    let pages = 0;
    for await (const page of this.#parts.pages()) {
      if (this.#isStopped()) return false;
      this.#scanned += page.keys.length;
      for (const orphan of await orphansOfPage(this.#parts, page.keys, this.tally)) {
        if (confirmed.has(orphan.id)) this.#waiting.push(orphan);
        else this.tally.skip('not-confirmed', orphan.id);
      }
      pages += 1;
      const isFull = this.#waiting.length >= PIPELINE_KEYS_MIN || pages >= PAGES_WAITING_MAX;
      if (!isFull && page.cursor !== '0') continue;
      pages = 0;
      while (this.#waiting.length > 0) {
        if (this.#isStopped()) return false;
        if (!(await this.#handle(this.#waiting.splice(0, this.#pipelineKeys)))) return false;
      }
      this.#position = page;
      if (!(await this.#book())) throw lostRun(this.#request.run);
    }
    return true;
  }

  /** Books what went since the last page that is through; a run that another one holds keeps its own count. */
  async bookRest(): Promise<void> {
    const { scanned, deleted, putBack } = this.#booked;
    if (this.#scanned + this.deleted + this.putBack === scanned + deleted + putBack) return;
    await this.#book();
  }

  #isStopped(): boolean {
    return this.#request.signal?.aborted === true;
  }

  /** @returns false where the fleet is stopped, or this process is to stop */
  async #handle(keys: readonly OrphanKey[]): Promise<boolean> {
    const { runs } = this.#parts;
    const { run } = this.#request;
    let left = keys;
    while (left.length > 0) {
      // Before the pipeline: a stop must not wait for an application's transaction.
      if (!(await this.#settleWriters())) return false;
      const pipeline = await runs.enterPipeline(run);
      if (pipeline.kind !== 'open') {
        if (pipeline.kind === 'lost') throw lostRun(run);
        return false;
      }
      try {
        await this.#unlink(left, pipeline);
        left = [];
      } catch (error) {
        if (!(error instanceof NotOrphans)) throw error;
        left = this.#without(left, error.verdicts);
      } finally {
        await pipeline.leave();
      }
    }
    return true;
  }

  /** @returns false where Ctrl-C came first: the wait only looks, and may be left behind */
  async #settleWriters(): Promise<boolean> {
    const settled = this.#parts.settleWriters(WRITERS_WAIT_MS).then(() => true);
    const { signal } = this.#request;
    if (signal === undefined) return settled;
    if (signal.aborted) return false;
    let stop = (): void => undefined;
    const stopped = new Promise<boolean>((resolve) => {
      stop = () => resolve(false);
    });
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([settled, stopped]);
    } finally {
      signal.removeEventListener('abort', stop);
      settled.catch(() => undefined);
    }
  }

  async #unlink(
    keys: readonly OrphanKey[],
    pipeline: Extract<OrphanPipeline, { kind: 'open' }>,
  ): Promise<void> {
    const { failpoint } = this.#parts;
    const owned = groupById(keys);
    const ids = owned.map(({ id }) => id);
    /** The last dump of each key that is in the archive: what went, or may have. */
    const dumps = new Map<string, DumpedKey<string>>();
    try {
      const gone = await this.#parts.archiveAndUnlink(owned, async (dumped) => {
        this.#learnSize(dumped);
        await this.#archive.keep(dumped, async () => {
          await failpoint('archive-written');
          const verdicts = await judgeIds(this.#parts, ids);
          if (ids.some((id) => verdicts.get(id) !== 'orphan')) throw new NotOrphans(verdicts);
        });
        for (const one of dumped) dumps.set(one.key.toString('latin1'), one);
        await failpoint('keys-archived');
        // A process that was frozen: the stop, or the restore, that waited for it has gone on.
        if (!(await pipeline.isHeld())) throw lostPipeline(this.#request.run.id);
        await failpoint('before-unlink');
      });
      const goneKeys = [...gone.values()].reduce((sum, count) => sum + count, 0);
      this.deleted += goneKeys;
      if (goneKeys < dumps.size) await this.#countLeft([...dumps.values()]);
      for (const { id, key } of keys) if (dumps.has(key)) this.tally.orphan(id);
    } catch (error) {
      // Keys that rested went before those that had to be tried again. A resumed run looks once more.
      await this.#countGone(error, dumps).catch(() => undefined);
      await this.#restoreNewcomers([...dumps.values()]).catch(() => undefined);
      throw error;
    }
    await this.#restoreNewcomers([...dumps.values()]);
  }

  #learnSize(dumped: readonly DumpedKey<string>[]): void {
    const bytes = dumped.reduce((sum, { dump }) => sum + dump.length, 0);
    const limit = this.#pipelineKeys;
    this.#pipelineKeys = nextPipelineKeys({ limit, keys: dumped.length, bytes });
  }

  /** Others may have expired, or been removed by somebody else. */
  async #countLeft(dumps: readonly DumpedKey<string>[]): Promise<void> {
    const states = await this.#parts.look(dumps);
    this.left += states.filter((state) => state === 'same' || state === 'taken').length;
  }

  /** Only where Redis answers: another try would have to wait for it as long again. */
  async #countGone(error: unknown, dumps: ReadonlyMap<string, DumpedKey<string>>): Promise<void> {
    if (!(error instanceof NotOrphans) || dumps.size === 0) return;
    const states = await this.#parts.look([...dumps.values()]);
    this.deleted += states.filter((state) => state === 'absent').length;
  }

  /**
   * What a killed process could not do any more: its last pipeline may have unlinked keys of a tenant that
   * was created in that moment.
   */
  async #settlePredecessor(): Promise<void> {
    const { runs, store } = this.#parts;
    const { run } = this.#request;
    const seen = new Set<string>();
    const last = (await runs.chunks(run.id)).slice(-PIPELINE_CHUNKS_MAX);
    try {
      for (const chunk of last.toReversed()) {
        for await (const keys of readArchivedKeys(store, run.folder, chunk, seen)) {
          await this.#restoreNewcomers(keys);
        }
      }
    } catch (error) {
      throw error instanceof PurgeError && error.code === 'ARCHIVE_DAMAGED'
        ? damagedRun(run, error)
        : error;
    }
  }

  /** A tenant that was created between the last look and the unlink gets its keys back. */
  async #restoreNewcomers(dumps: readonly DumpedKey<string>[]): Promise<void> {
    const verdicts = await judgeIds(this.#parts, [...new Set(dumps.map(({ id }) => id))]);
    const theirs = dumps.filter(({ id }) => verdicts.get(id) !== 'orphan');
    if (theirs.length === 0) return;
    const states = await this.#parts.look(theirs);
    const absent = theirs.filter((_, at) => states[at] === 'absent');
    this.putBack += (await this.#parts.putBack(absent)).restored;
  }

  #without(keys: readonly OrphanKey[], verdicts: ReadonlyMap<string, OrphanVerdict>): OrphanKey[] {
    return keys.filter(({ id, key }) => {
      const verdict = verdicts.get(id);
      if (verdict === undefined || verdict === 'orphan') return true;
      this.tally.book(verdict, id, key);
      return false;
    });
  }

  /** False where the run has gone to another holder. */
  async #book(): Promise<boolean> {
    const { deleted, putBack } = this;
    const { cursor, serverRunId } = this.#position;
    const isBooked = await this.#parts.runs.progress(this.#request.run, {
      cursor,
      serverRunId,
      scanned: this.#scanned - this.#booked.scanned,
      deleted: deleted - this.#booked.deleted,
      putBack: putBack - this.#booked.putBack,
    });
    if (isBooked) this.#booked = { scanned: this.#scanned, deleted, putBack };
    return isBooked;
  }
}

function groupById(keys: readonly OrphanKey[]): OwnedKeys<string>[] {
  const byId = new Map<string, Buffer[]>();
  for (const { id, key } of keys) {
    const some = byId.get(id);
    if (some === undefined) byId.set(id, [toKeyBytes(key)]);
    else some.push(toKeyBytes(key));
  }
  return [...byId].map(([id, some]) => ({ id, keys: some }));
}

/** Whoever deletes on must know that what went before may not come back. */
const damagedRun = (run: OrphanRun, cause: PurgeError): PurgeError =>
  new PurgeError('ARCHIVE_DAMAGED', `Run ${run.id} cannot go on: ${cause.message}`, {
    cause,
    details: { ...cause.details, runId: run.id },
    remedy: `Bring the file back from a backup of ${run.location}/${run.folder}. If there is none: \`tenant-purge redis orphans --restore ${run.id}\` brings back what it can and ends the run; the next delete begins another.`,
  });

const lostPipeline = (runId: string): PurgeError =>
  new PurgeError(
    'TIMED_OUT',
    `Run ${runId}: between its archive and its unlink a pipeline of keys took so long that a stop need not have waited for it. These keys are left.`,
    {
      remedy:
        'See whether the archive’s storage or this machine stalls, then run the same command: it goes on.',
    },
  );
