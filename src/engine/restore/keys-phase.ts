import type { ArchivedKey } from '../../domain/archive.ts';
import {
  CONFLICT_ROWS_LISTED,
  type Conflict,
  type KeysReport,
  NO_KEYS,
  type RestoreRules,
} from '../../domain/restore.ts';
import type { KeyState, KeyToRestore } from '../../redis/restore-keys.ts';
import type { RestoreArchive } from './chunk-source.ts';
import { ruleOf, wordsOf } from './conflict-words.ts';

/** The application's Redis, as a restore uses it. */
export interface RestoreKeyspace {
  look(keys: readonly KeyToRestore[]): Promise<readonly KeyState[]>;
  putBack(
    keys: readonly KeyToRestore[],
    onTaken: 'skip' | 'replace',
  ): Promise<{ readonly restored: number; readonly expired: number; readonly skipped: number }>;
}

/** Keys of one pipeline, and bytes at which it is full before. */
const PIPELINE_KEYS = 500;
const PIPELINE_BYTES = 4_000_000;

/** Keys that are there with another value. */
export async function findTakenKeys(
  archive: RestoreArchive,
  keyspace: RestoreKeyspace,
  rules: RestoreRules,
): Promise<Conflict[]> {
  let count = 0;
  const rows: string[] = [];
  for await (const keys of latestKeys(archive)) {
    const states = await keyspace.look(keys);
    for (const [at, { key }] of keys.entries()) {
      if (states[at] !== 'taken') continue;
      count += 1;
      if (rows.length < CONFLICT_ROWS_LISTED) rows.push(key.toString('utf8'));
    }
  }
  if (count === 0) return [];
  const about = { table: null, object: null, count };
  return [
    {
      kind: 'KEY_TAKEN',
      ...about,
      rows,
      ...wordsOf('KEY_TAKEN', about),
      settledBy: ruleOf('KEY_TAKEN', rules),
    },
  ];
}

/** Puts all keys back; those that are back already stay as they are. */
export async function restoreKeys(
  archive: RestoreArchive,
  keyspace: RestoreKeyspace,
  options: {
    readonly onTaken: 'skip' | 'replace';
    readonly onPipeline: (keys: number) => Promise<void>;
  },
): Promise<KeysReport> {
  let sum: KeysReport = NO_KEYS;
  for await (const keys of latestKeys(archive)) {
    const { restored, expired, skipped } = await keyspace.putBack(keys, options.onTaken);
    sum = {
      ...sum,
      restored: sum.restored + restored,
      expired: sum.expired + expired,
      skipped: sum.skipped + skipped,
    };
    await options.onPipeline(sum.restored);
  }
  return sum;
}

/** The last chunk first: a key may have been archived several times, and its last value counts. */
async function* latestKeys(archive: RestoreArchive): AsyncGenerator<KeyToRestore[]> {
  const seen = new Set<string>();
  for (const chunk of archive.keyChunks.toReversed()) {
    let page: KeyToRestore[] = [];
    let bytes = 0;
    const own = new Map<string, ArchivedKey>();
    for await (const keys of archive.keys(chunk)) for (const key of keys) own.set(key.key, key);
    for (const { key, dump, expiresAt } of own.values()) {
      if (seen.has(key)) continue;
      seen.add(key);
      page.push({ key: Buffer.from(key, 'base64'), dump: Buffer.from(dump, 'base64'), expiresAt });
      bytes += dump.length;
      if (page.length < PIPELINE_KEYS && bytes < PIPELINE_BYTES) continue;
      yield page;
      page = [];
      bytes = 0;
    }
    if (page.length > 0) yield page;
  }
}
