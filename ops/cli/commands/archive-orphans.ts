import { dayOf, keptUntil } from '../../../src/domain/archive-state.ts';
import { PurgeError } from '../../../src/domain/errors.ts';
import { ORPHANS_FOLDER } from '../../../src/engine/orphans/orphan-archive.ts';
import type { OrphanArchiveRecord } from '../../../src/postgres/ledger/orphan-archives.ts';
import type { Session } from '../command.ts';
import { formatBytes } from '../output/archive.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber } from '../output/text.ts';
import type { ArchiveDesk } from './archive-desk.ts';

const PREFIX = `${ORPHANS_FOLDER}/`;

/** How operators name the archive of a run of `redis orphans`: as its folder is called. */
export const orphanName = ({ id }: { readonly id: string }): string => `${PREFIX}${id}`;

/**
 * The runs that the words mean, `orphans/RUN` or only the run's id, and the words that mean something else.
 * @throws PurgeError NOT_FOUND
 */
export async function splitRuns(
  { orphans }: ArchiveDesk,
  words: readonly string[],
): Promise<{ readonly runs: readonly OrphanArchiveRecord[]; readonly rest: readonly string[] }> {
  if (words.length === 0) return { runs: [], rest: [] };
  const byId = new Map((await orphans.all()).map((run) => [run.id, run]));
  const runs = new Set<OrphanArchiveRecord>();
  const rest: string[] = [];
  for (const word of words) {
    const isPath = word.startsWith(PREFIX);
    const run = byId.get((isPath ? word.slice(PREFIX.length) : word).toLowerCase());
    if (run !== undefined) runs.add(run);
    else if (isPath) throw unknownRun(word, [...byId.values()]);
    else rest.push(word);
  }
  return { runs: [...runs], rest };
}

const RUNS_NAMED = 5;

function unknownRun(word: string, runs: readonly OrphanArchiveRecord[]): PurgeError {
  const latest = runs.slice(-RUNS_NAMED).map(orphanName);
  return new PurgeError('NOT_FOUND', `The ledger has no ${word}.`, {
    details: { runs: latest },
    remedy:
      latest.length === 0
        ? 'No keys of orphans were ever deleted with this ledger.'
        : `The latest runs: ${latest.join(', ')}.`,
  });
}

/** One run, for `--json`. */
export const runDocument = (run: OrphanArchiveRecord, { place, config }: ArchiveDesk): object => ({
  runId: run.id,
  operator: run.operator,
  location: run.location,
  folder: run.folder,
  here: run.place === place,
  keys: run.keys,
  bytes: run.bytes,
  startedAt: run.startedAt.toISOString(),
  endedAt: run.endedAt?.toISOString() ?? null,
  keptUntil: keptUntil(run.endedAt, config.archive.keepDays)?.toISOString() ?? null,
  expiredAt: run.expiredAt?.toISOString() ?? null,
  expiredBy: run.expiredBy,
  undoable: run.expiredAt === null,
});

export const renderRuns = (
  runs: readonly OrphanArchiveRecord[],
  { config }: ArchiveDesk,
  { columns }: Session,
): string =>
  renderTable(
    [
      { head: 'run of redis orphans' },
      { head: 'began' },
      { head: 'size', align: 'right' },
      { head: 'keys', align: 'right' },
      { head: 'kept until' },
    ],
    runs.map((run) => [
      run.id,
      dayOf(run.startedAt),
      formatBytes(run.bytes),
      formatNumber(run.keys),
      untilWord(run, config.archive.keepDays),
    ]),
    columns,
  );

function untilWord(run: OrphanArchiveRecord, keepDays: number): string {
  if (run.expiredAt !== null) return `expired ${dayOf(run.expiredAt)}`;
  const until = keptUntil(run.endedAt, keepDays);
  return until === null ? 'its end' : dayOf(until);
}
