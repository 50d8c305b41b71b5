import { CREATED_FOLDER } from '../../../src/archive/file-name.ts';
import { readManifest } from '../../../src/archive/manifest.ts';
import { dayOf } from '../../../src/domain/archive-state.ts';
import { EXIT, toPurgeError } from '../../../src/domain/errors.ts';
import { readArchiveStates } from '../../../src/engine/archive/archive-states.ts';
import { type Answer, defineCommand, type Session } from '../command.ts';
import { formatBytes, undoWord } from '../output/archive.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber, plural } from '../output/text.ts';
import { type ArchiveDesk, withArchiveDesk } from './archive-desk.ts';
import { renderRuns, runDocument } from './archive-orphans.ts';

/** Every archive the ledger knows, expired ones and those of `redis orphans` too, and backups of `archive create`. */
export const archiveList = defineCommand<null>({
  usage: 'list',
  summary: 'Every archive with its place, size and age, and whether its purge can be undone',
  examples: ['archive list', 'archive list --json | jq .archives'],
  describe: (command) => command,
  validate: () => null,
  run: (session) => withArchiveDesk(session, (desk) => list(session, desk)),
});

async function list(session: Session, desk: ArchiveDesk): Promise<Answer> {
  const archives = await listArchives(desk);
  const created = await listCreated(desk);
  const runs = await desk.orphans.all();
  const { columns } = session;
  const here = desk.store.location();
  const away = archives.filter((archive) => !archive.here && archive.expiredAt === null).length;
  const undoable = archives.filter((archive) => archive.undoable).length;
  return {
    exitCode: EXIT.done,
    document: {
      place: { id: desk.place, location: here },
      archives,
      created,
      orphans: runs.map((run) => runDocument(run, desk)),
    },
    text: [
      `Archives at ${here}${desk.place === null ? ', where none was begun yet' : ''}`,
      '',
      ...(archives.length === 0
        ? ['No purge was archived.']
        : [
            renderTable(
              [
                { head: 'purge' },
                { head: 'tenant' },
                { head: 'status' },
                { head: 'size', align: 'right' },
                { head: 'rows', align: 'right' },
                { head: 'kept until' },
                { head: 'undo' },
              ],
              archives.map((archive) => [
                archive.purgeId,
                archive.tenantLabel,
                archive.status,
                formatBytes(archive.bytes),
                formatNumber(archive.rows),
                untilWord(archive),
                undoWord(archive.undo),
              ]),
              columns,
            ),
            `${plural(undoable, 'purge')} can be undone now: tenant-purge restore PURGE`,
          ]),
      ...(away === 0
        ? []
        : [`${plural(away, 'archive')} at another place; --json tells which, or \`doctor\`.`]),
      ...(created.length === 0
        ? []
        : [
            '',
            renderTable(
              [
                { head: 'made by archive create' },
                { head: 'tenant' },
                { head: 'size', align: 'right' },
                { head: 'rows', align: 'right' },
                { head: 'made' },
              ],
              created.map(({ folder, tenantLabel, bytes, rows, writtenAt, problem }) => [
                folder,
                tenantLabel ?? problem ?? '',
                formatBytes(bytes),
                formatNumber(rows),
                writtenAt === null ? '' : dayOf(new Date(writtenAt)),
              ]),
              columns,
            ),
          ]),
      ...(runs.length === 0 ? [] : ['', renderRuns(runs, desk, session)]),
    ].join('\n'),
  };
}

const untilWord = (archive: {
  readonly expiredAt: string | null;
  readonly keptUntil: string | null;
}): string => {
  if (archive.expiredAt !== null) return `expired ${dayOf(new Date(archive.expiredAt))}`;
  return archive.keptUntil === null ? 'its end' : dayOf(new Date(archive.keptUntil));
};

async function listArchives({ ledger, view, place, config }: ArchiveDesk) {
  const records = await view.all();
  if (ledger === null || records.size === 0) return [];
  const purges = (await ledger.purges.select({ kind: 'all' })).filter(({ id }) => records.has(id));
  // Whatever the campaign said: these purges have an archive.
  const states = await readArchiveStates(view, {
    purges,
    campaigns: [],
    keepDays: config.archive.keepDays,
  });
  return purges.flatMap((purge) => {
    const record = records.get(purge.id);
    const found = states.get(purge.id);
    if (record === undefined || found === undefined || found.state === null) return [];
    return [
      {
        purgeId: purge.id,
        tenantId: purge.tenantId,
        tenantLabel: purge.tenantLabel,
        status: purge.status,
        place: record.place,
        here: record.place === place,
        ...found.state,
        keys: purge.redisKeysDeleted,
        openedAt: record.openedAt.toISOString(),
        sealedAt: record.sealedAt?.toISOString() ?? null,
        digest: record.digest,
        expiredBy: record.expiredBy,
        undo: found.undo,
      },
    ];
  });
}

/** One whose manifest cannot be read is listed all the same. */
async function listCreated({ store }: ArchiveDesk) {
  const names = await store.folders(CREATED_FOLDER);
  return Promise.all(
    names.map(async (name) => {
      const folder = `${CREATED_FOLDER}/${name}`;
      const unknown = { tenantId: null, tenantLabel: null, bytes: 0, rows: 0, keys: 0 };
      const blank = { folder, location: store.location(), ...unknown, writtenAt: null };
      try {
        const manifest = await readManifest(store, folder);
        if (manifest === null)
          return { ...blank, problem: 'without a manifest: it was broken off' };
        return {
          ...blank,
          tenantId: manifest.tenant.id,
          tenantLabel: manifest.tenant.label,
          bytes: manifest.segments.reduce((sum, { bytes }) => sum + bytes, 0),
          rows: manifest.chunks.reduce((sum, { rows }) => sum + rows, 0),
          keys: manifest.keys.count,
          writtenAt: manifest.writtenAt,
          problem: null,
        };
      } catch (error) {
        return { ...blank, problem: toPurgeError(error).message };
      }
    }),
  );
}
