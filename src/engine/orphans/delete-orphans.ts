import type { SegmentStore } from '../../archive/store.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { OrphanDeletion, OrphanVerdict } from '../../domain/orphans.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { DumpedKey, KeepKeys, OwnedKeys } from '../../redis/archive-keys.ts';
import { toKeyBytes } from '../../redis/byte-text.ts';
import type { PassPage } from '../../redis/keyspace-pass.ts';
import type { KeyState, KeyToRestore } from '../../redis/restore-keys.ts';
import type { Failpoint } from '../failpoints.ts';
import { type FindParts, type OrphanKey, orphansOfPage } from './find-orphans.ts';
import { judgeIds } from './judge.ts';
import {
  lostRun,
  type OrphanArchive,
  openOrphanArchive,
  writeOrphanManifest,
} from './orphan-archive.ts';
import { OrphanTally } from './tally.ts';

export interface DeleteParts extends FindParts {
  readonly runs: OrphanRunStore;
  readonly store: SegmentStore;
  readonly databaseIdentity: string;
  /** Waits until nobody writes to the tenant table who does now. */
  readonly settleWriters: (waitMsMax: number) => Promise<void>;
  readonly archiveAndUnlink: (
    owned: readonly OwnedKeys<string>[],
    keep: KeepKeys<string>,
  ) => Promise<ReadonlyMap<string, number>>;
  readonly look: (keys: readonly KeyToRestore[]) => Promise<readonly KeyState[]>;
  /** Leaves keys alone that are there. */
  readonly putBack: (keys: readonly KeyToRestore[]) => Promise<{ readonly restored: number }>;
  readonly failpoint: Failpoint;
}

export interface DeleteRequest {
  readonly run: OrphanRun;
  readonly isResumed: boolean;
  /** The tenants that the operator confirmed; keys of others stay. */
  readonly confirmed: ReadonlySet<string>;
  readonly templates: readonly string[];
  readonly operator: string;
  readonly signal?: AbortSignal | undefined;
}

/** Keys dumped, archived and unlinked together: what may still go after a stop was asked for. */
const PIPELINE_KEYS_MAX = 1_000;
/** So many do not wait for more: a page gives about as many, and a second pipeline for its rest costs as much. */
const PIPELINE_KEYS_MIN = 500;
/** Pages whose few keys wait for company; then the cursor is booked all the same. */
const PAGES_WAITING_MAX = 16;
const WRITERS_WAIT_MS = 10_000;

/**
 * Deletes the keys of the confirmed tenants, in one pass from where the run stands. Each pipeline's keys
 * are durable in the archive, and the ledger knows, before they are unlinked; between the two the
 * tenant table is asked again, and once more afterwards: keys of a tenant that was created in that
 * moment are put back.
 * @returns how far it came; not done where a stop was asked for, the fleet's too
 * @throws PurgeError ARCHIVE_FAILED, REDIS_UNREACHABLE, TIMED_OUT, STALE_FENCE; the run can be resumed
 */
export async function deleteOrphans(
  parts: DeleteParts,
  request: DeleteRequest,
): Promise<{ readonly deletion: OrphanDeletion; readonly tally: OrphanTally }> {
  const { run } = request;
  const pass = new DeletingPass(parts, request);
  let isDone = false;
  try {
    isDone = await pass.run();
    if (isDone && !(await parts.runs.finish(run, request.operator))) throw lostRun(run);
  } finally {
    await pass.close();
    if (!isDone) await parts.runs.release(run).catch(() => undefined);
  }
  if (!isDone) {
    await parts.runs.note('orphans interrupted', request.operator, {
      run: run.id,
      keys: pass.deleted,
    });
  }
  const { databaseIdentity } = parts;
  await writeOrphanManifest(parts.store, parts.runs, run, { databaseIdentity, isDone });
  const { deleted, putBack, tally } = pass;
  const location = parts.store.location(run.folder);
  return {
    deletion: { runId: run.id, deleted, putBack, isResumed: request.isResumed, isDone, location },
    tally,
  };
}

/** A tenant of the pipeline turned out to be none of ours, before anything of it was unlinked. */
class NotOrphans extends Error {
  override readonly name = 'NotOrphans';
  readonly verdicts: ReadonlyMap<string, OrphanVerdict>;

  constructor(verdicts: ReadonlyMap<string, OrphanVerdict>) {
    super('not orphans');
    this.verdicts = verdicts;
  }
}

class DeletingPass {
  readonly tally = new OrphanTally();
  deleted = 0;
  putBack = 0;
  readonly #parts: DeleteParts;
  readonly #request: DeleteRequest;
  readonly #archive: OrphanArchive;
  #waiting: OrphanKey[] = [];
  #booked = { scanned: 0, deleted: 0, putBack: 0 };
  #scanned = 0;

  constructor(parts: DeleteParts, request: DeleteRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#archive = openOrphanArchive(parts.store, parts.runs, request.run);
  }

  close(): Promise<void> {
    return this.#archive.close();
  }

  /** @returns false where a stop was asked for */
  async run(): Promise<boolean> {
    const { run, templates, signal, confirmed } = this.#request;
    const isStopped = (): boolean => signal?.aborted === true;
    // A cursor speaks for the templates that it was reached with.
    const isSame = JSON.stringify(run.templates) === JSON.stringify(templates);
    let pages = 0;
    for await (const page of this.#parts.pages(isSame ? run : null)) {
      if (isStopped()) return false;
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
        if (isStopped() || !(await this.#handle(this.#waiting.splice(0, PIPELINE_KEYS_MAX)))) {
          return false;
        }
      }
      await this.#book(page);
    }
    return true;
  }

  /** @returns false where the fleet is stopped */
  async #handle(keys: readonly OrphanKey[]): Promise<boolean> {
    const { runs } = this.#parts;
    const { run } = this.#request;
    let left = keys;
    while (left.length > 0) {
      // Before the pipeline: a stop must not wait for an application's transaction.
      await this.#parts.settleWriters(WRITERS_WAIT_MS);
      const pipeline = await runs.enterPipeline(run);
      if (pipeline.kind !== 'open') {
        if (pipeline.kind === 'lost') throw lostRun(run);
        return false;
      }
      try {
        await this.#unlink(left);
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

  async #unlink(keys: readonly OrphanKey[]): Promise<void> {
    const owned = groupById(keys);
    const ids = owned.map(({ id }) => id);
    /** The last dump of each key: what went. */
    const dumps = new Map<string, DumpedKey<string>>();
    try {
      const gone = await this.#parts.archiveAndUnlink(owned, async (dumped) => {
        await this.#archive.keep(dumped);
        await this.#parts.failpoint('keys-archived');
        for (const one of dumped) dumps.set(one.key.toString('latin1'), one);
        const verdicts = await judgeIds(this.#parts, ids);
        if (ids.some((id) => verdicts.get(id) !== 'orphan')) throw new NotOrphans(verdicts);
        await this.#parts.failpoint('before-unlink');
      });
      for (const count of gone.values()) this.deleted += count;
      for (const { id, key } of keys) if (dumps.has(key)) this.tally.orphan(id);
    } finally {
      // Also where it ended early: keys that rested went before those that had to be tried again.
      await this.#restoreNewcomers(ids, dumps);
    }
  }

  /** A tenant that was created between the last look and the unlink gets its keys back. */
  async #restoreNewcomers(
    ids: readonly string[],
    dumps: ReadonlyMap<string, DumpedKey<string>>,
  ): Promise<void> {
    const verdicts = await judgeIds(this.#parts, ids);
    const theirs = [...dumps.values()].filter(({ id }) => verdicts.get(id) !== 'orphan');
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

  async #book({ cursor, serverRunId }: PassPage): Promise<void> {
    const { deleted, putBack } = this;
    const step = {
      scanned: this.#scanned - this.#booked.scanned,
      deleted: deleted - this.#booked.deleted,
      putBack: putBack - this.#booked.putBack,
    };
    if (!(await this.#parts.runs.progress(this.#request.run, { cursor, serverRunId, ...step }))) {
      throw lostRun(this.#request.run);
    }
    this.#booked = { scanned: this.#scanned, deleted, putBack };
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

/** The fleet is stopped: nothing is begun. */
export const fleetIsStopped = (): PurgeError =>
  new PurgeError('STATUS_CONFLICT', 'The fleet is paused: no keys are deleted.', {
    remedy: 'Release it with `tenant-purge resume --all`, then run the same command.',
  });
