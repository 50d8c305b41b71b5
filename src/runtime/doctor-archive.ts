import { createFileSystemStore } from '../archive/file-system-store.ts';
import { readArchiveFitness } from '../archive/fitness.ts';
import type { Config } from '../config/config.ts';
import { toPurgeError } from '../domain/errors.ts';
import type { Database } from '../postgres/database.ts';
import { ArchiveView } from '../postgres/ledger/archive-view.ts';
import { type Check, mind, right, wrong } from './check.ts';

const MIB = 1024 * 1024;
/** Below it a purge of any size is refused. */
const FREE_WRONG_BYTES = 64 * MIB;
const FREE_MIND_BYTES = 1024 * MIB;

/**
 * Whether purges can be archived here: folder, space, modes, and whether all hosts see the same place.
 * Writes nothing. @param database null where it cannot be asked
 */
export async function examineArchive(config: Config, database: Database | null): Promise<Check[]> {
  try {
    const { directory, exists, refusal, freeBytes, openFolders } = await readArchiveFitness(
      config.archive.dir,
    );
    return [
      folderCheck({ directory, exists, refusal }),
      ...(freeBytes === null ? [] : [spaceCheck(directory, freeBytes)]),
      ...(openFolders.length === 0 ? [] : [modeCheck(openFolders)]),
      ...(await placeChecks(config, database)),
    ];
  } catch (thrown) {
    const { message, remedy } = toPurgeError(thrown);
    return [wrong('archive', message, remedy)];
  }
}

function folderCheck({
  directory,
  exists,
  refusal,
}: {
  readonly directory: string;
  readonly exists: boolean;
  readonly refusal: string | null;
}): Check {
  if (refusal !== null) {
    return wrong(
      'archive',
      `${directory} cannot be ${exists ? 'written to' : 'made'} by this user (${refusal}): purges would not begin`,
      'Make archive.dir a folder that the workers’ user may write to.',
    );
  }
  return right(
    'archive',
    exists ? `${directory} can be written to` : `${directory} will be made by the first archive`,
  );
}

function spaceCheck(directory: string, freeBytes: number): Check {
  const free = `${Math.floor(freeBytes / MIB)} MiB free at ${directory}`;
  if (freeBytes >= FREE_MIND_BYTES) return right('archive space', free);
  return (freeBytes < FREE_WRONG_BYTES ? wrong : mind)(
    'archive space',
    `${free}: a purge that may need more is refused`,
    'Free space there, or set archive.dir to a larger place.',
  );
}

const modeCheck = (openFolders: readonly string[]): Check =>
  mind(
    'archive modes',
    `others than the owner may enter ${openFolders.slice(0, 3).join(', ')}${openFolders.length > 3 ? ` and ${openFolders.length - 3} more` : ''}`,
    'Take it from them: chmod -R go= FOLDER. Rows of purged tenants lie there.',
  );

/** A place that workers of several hosts do not share leaves purges that nobody else can go on with. */
async function placeChecks(config: Config, database: Database | null): Promise<Check[]> {
  const store = createFileSystemStore(config.archive.dir);
  const own = await store.knownIdentity();
  const identity = right(
    'archive place',
    own === null ? 'none begun here yet; the first archive gets an identity' : `identity ${own}`,
  );
  if (database === null) return [identity];
  const view = new ArchiveView(database);
  const places = await view.places();
  const others = places.filter(({ id }) => id !== own);
  if (others.length === 0) return [identity];
  const records = [...(await view.all()).values()];
  const there = records.filter(({ place, expiredAt }) => place !== own && expiredAt === null);
  const locations = [...new Set(others.map(({ location }) => location))].join(', ');
  const count = places.length + (own === null ? 1 : 0);
  return [
    identity,
    mind(
      'archive shared',
      `${count} places are in use, the others at ${locations}, with ${there.length} archives; a worker goes on with a purge, and a restore finds it, only where its archive lies`,
      'Let archive.dir of every host be the same shared storage; where a host was replaced, move its archive there.',
    ),
  ];
}
